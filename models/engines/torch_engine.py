"""The reference engine: the source in PyTorch, channels_last, on a CPU or a CUDA device."""

from __future__ import annotations

import torch
from torch import Tensor

from models.source import SourceNetwork


class TorchEngine:
    """Runs the source in PyTorch. float32 on a CPU; on CUDA float32 or, with `half`, float16."""

    name = "torch"

    def __init__(self, source: SourceNetwork, device: torch.device, *, half: bool = False) -> None:
        self._device = device
        self._dtype = torch.float16 if half and device.type == "cuda" else torch.float32
        self._network = source.to(device=device, dtype=self._dtype).to(memory_format=torch.channels_last)

    # no_grad and not inference_mode: a head saves these activations for its backward pass.
    @torch.no_grad()
    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """See SourceEngine."""
        batch = images.to(self._device, self._dtype, memory_format=torch.channels_last)
        return {tap: tensor.float() for tap, tensor in self._network(batch).items()}
