"""The reference backend: any source in PyTorch, channels_last, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from models.sources.network import SourceNetwork
from models.sources.registry import Precision


class TorchBackend:
    """Runs the source in PyTorch, in float32; on CUDA with `half` in float16.

    With precision "bfloat16" it is that from the second layer on (see SourceNetwork.lower), whatever `half` says.
    """

    name = "torch"

    def __init__(
        self, source: SourceNetwork, device: torch.device, *, half: bool = False, precision: Precision = "float32"
    ) -> None:
        self._device = device
        halved = half and device.type == "cuda" and precision == "float32"
        self._dtype = torch.float16 if halved else torch.float32
        self._network = source.to(device=device, dtype=self._dtype).to(memory_format=torch.channels_last)
        self._network.lower(precision)

    # no_grad and not inference_mode: a head saves these activations for its backward pass.
    @torch.no_grad()
    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend."""
        batch = images.to(self._device, self._dtype, memory_format=torch.channels_last)
        return {tap: tensor.float() for tap, tensor in self._network(batch, taps).items()}
