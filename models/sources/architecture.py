"""What the code has to know of a network to run it as a source: its layers, its taps and the tensors of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

# Convolution, by its name in `layers` -> mean and standard deviation of each channel that it gives, two (C,), on the
# pictures that the source was trained on.
UsualOutputs = Mapping[str, tuple[Tensor, Tensor]]


class Architecture(NamedTuple):
    """One network; `models.sources.network` lists them by name."""

    layers: Callable[[], nn.Sequential]
    """The layers, one after the other, without trained weights; the first is what bfloat16 leaves in float32."""
    taps: Mapping[str, int]
    """Tap name -> which of the layers gives it, in order of depth."""
    tensor_names: tuple[str, ...]
    """The published tensors that the layers need, in the order of the canonical hash."""
    state: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    """The published tensors -> the state of `layers`, by its names."""
    usual_outputs: Callable[[Mapping[str, Tensor]], UsualOutputs] | None = None
    """The published tensors -> what each convolution usually gives; None where they do not tell. int8 needs it."""
