"""The training of SimpleNet: good patches should be above a margin, the same patches with noise below minus it.

loss = mean of max(0, 0.5 - D(q)) + mean of max(0, 0.5 + D(q + n))        q: adapted features, n: N(0, noise^2)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.heads.base import Trainable
from models.heads.parts.loop_settings import LoopSettings
from models.heads.parts.patches import patch_features
from models.heads.simplenet.config import SimplenetConfig, SimplenetRecord
from models.heads.simplenet.network import AdaptedDiscriminator
from models.sources.registry import Activations

MARGIN = 0.5
ADAPTOR_DECAY = 1e-2  # AdamW's own default, as in the authors' code
DISCRIMINATOR_DECAY = 1e-5


class SimplenetTrainable(Trainable):
    """Adaptor and discriminator in training; `mean` and `matrix` whiten, where there are any.

    Patches and noise of a step follow from `seed` and the step's number, which a checkpoint keeps.
    """

    mean: Tensor | None
    matrix: Tensor | None

    def __init__(
        self,
        config: SimplenetConfig,
        record: SimplenetRecord,
        network: AdaptedDiscriminator,
        seed: int,
        whitening: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.record = record
        self.network = network
        self.steps_done = nn.Buffer(torch.zeros((), dtype=torch.long))
        self._seed = seed
        mean, matrix = whitening or (None, None)
        self.register_buffer("mean", None if mean is None else mean.float(), persistent=False)
        self.register_buffer("matrix", None if matrix is None else matrix.float(), persistent=False)

    @property
    def trained(self) -> nn.Module:
        """Adaptor and discriminator."""
        return self.network

    @property
    def fingerprint(self) -> str:
        """See Trainable.fingerprint."""
        return f"{self.config.fingerprint} {self.record.model_dump_json()} {self._seed}"

    def loss(self, images: Tensor, activations: Activations) -> Tensor:
        """See the module."""
        generator = torch.Generator().manual_seed(self._seed + int(self.steps_done))
        self.steps_done.add_(1)
        record = self.record
        found = patch_features(activations, record.taps, record.grid_tap, record.tap_scales).flatten(0, 2)
        drawn = torch.randperm(len(found), generator=generator)[: self.config.patches]
        features = found[drawn.to(found.device)]
        if self.mean is not None and self.matrix is not None:
            features = (features - self.mean) @ self.matrix
        adapted = self.network.adaptor(features)
        noise = record.noise * torch.randn(adapted.shape, generator=generator).to(adapted)
        good, noisy = self.network.discriminate(torch.cat((adapted, adapted + noise))).chunk(2)
        return (MARGIN - good).clamp_min(0).mean() + (MARGIN + noisy).clamp_min(0).mean()

    def optimiser(self, settings: LoopSettings) -> torch.optim.Optimizer:
        """One optimiser that is AdamW for the adaptor and Adam for the discriminator, as in the paper."""
        network = self.network
        rest = [*network.first.parameters(), *network.norm.parameters(), *network.tail.parameters()]
        adaptor: dict[str, Any] = {
            "params": list(network.adaptor.parameters()),
            "lr": self.config.adaptor_rate,
            "weight_decay": ADAPTOR_DECAY,
            "decoupled_weight_decay": True,
        }
        groups: list[dict[str, Any]] = [adaptor, {"params": rest}]
        return torch.optim.Adam(groups, lr=settings.learning_rate, weight_decay=DISCRIMINATOR_DECAY)
