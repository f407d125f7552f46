"""The teacher: the source's activations, each channel standardised by its mean and deviation over good images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from models.heads.base import ActivationBatch
from models.sources.registry import Activations

LEAST_SPREAD = 0.1  # of the tap's mean deviation: a channel that is silent on good parts must not decide alone
SMALLEST_SPREAD = 1e-6


class Teacher(nn.Module):
    """`mean` and `spread` (C,) for each tap, as tensors TAP.mean and TAP.spread."""

    def __init__(self, taps: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
        """Raises ValueError where `tensors` are not those of the taps."""
        super().__init__()
        self._taps = tuple(taps)
        wanted = {f"{tap}.{part}" for tap in taps for part in ("mean", "spread")}
        if set(tensors) != wanted:
            raise ValueError(f"the teacher needs {', '.join(sorted(wanted))}, and nothing else")
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def forward(self, activations: Activations) -> list[Tensor]:
        """Activations -> (B, C, h, w) for each tap, float32, mean 0 and deviation 1 over good images."""
        return [
            (activations[tap].float() - self._column(f"{tap}_mean")) / self._column(f"{tap}_spread")
            for tap in self._taps
        ]

    def tensors(self) -> dict[str, Tensor]:
        """What the constructor takes."""
        parts = ((tap, part) for tap in self._taps for part in ("mean", "spread"))
        return {f"{tap}.{part}": self.get_buffer(f"{tap}_{part}") for tap, part in parts}

    def _column(self, name: str) -> Tensor:
        return self.get_buffer(name)[:, None, None]


@torch.no_grad()
def teacher_of(taps: Sequence[str], batches: Iterable[ActivationBatch]) -> Teacher:
    """The teacher of those good images, from one look at them."""
    means: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    squares: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    for _, activations in batches:
        for tap in taps:
            values = activations[tap].double()
            means[tap] += values.mean(dim=(2, 3)).cpu()
            squares[tap] += values.square().mean(dim=(2, 3)).cpu()
    tensors = {}
    for tap in taps:
        mean = torch.stack(means[tap]).mean(dim=0)
        spread = (torch.stack(squares[tap]).mean(dim=0) - mean.square()).clamp_min(0).sqrt()
        floor = max(LEAST_SPREAD * float(spread.mean()), SMALLEST_SPREAD)
        tensors[f"{tap}.mean"], tensors[f"{tap}.spread"] = mean.float(), spread.clamp_min(floor).float()
    return Teacher(taps, tensors)
