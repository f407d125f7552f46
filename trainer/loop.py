"""The gradient loop: any trainable and cached activations in, the trained weights out.

An optimiser of the trainable's choice, a learning-rate schedule, averaged weights. Everything about a step follows from
the seed and the step's number, so a run that was interrupted goes on from its checkpoint and ends where it would have
ended.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models import atomic_file
from models.heads.base import FitDiverged, GoodParts, Trainable
from models.heads.parts.loop_settings import LoopSettings

CHECKPOINT_EVERY = 250  # steps
FINAL_RATE = 1e-2  # the cosine's end, as a share of the learning rate


class Progress(NamedTuple):
    """Told after every step."""

    step: int
    steps: int
    loss: float


def _averaging(decay: float) -> Callable[[object, object, object], None]:
    average: Callable[[object, object, object], None] = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return average


class GradientLoop:
    """One training. `run` may be interrupted by KeyboardInterrupt; the checkpoint is then written."""

    def __init__(
        self,
        trainable: Trainable,
        parts: GoodParts,
        settings: LoopSettings,
        *,
        seed: int,
        checkpoint: Path,
        fingerprint: str,
    ) -> None:
        self.trainable = trainable
        self._parts = parts
        self._settings = settings
        self._seed = seed
        self._checkpoint = checkpoint
        self._fingerprint = fingerprint  # of settings and data: another one is another run
        self._averaged = AveragedModel(
            trainable.trained, multi_avg_fn=_averaging(settings.average_decay), use_buffers=True
        )
        self._optimiser = trainable.optimiser(settings)
        self._first_rates = [group["lr"] for group in self._optimiser.param_groups]
        self._permutation: tuple[int, list[int]] | None = None
        self.step = 0
        self.losses: list[float] = []

    def run(self, told: Callable[[Progress], None] = lambda progress: None) -> None:
        """Trains from the current step to the last, then leaves the averaged weights in the trainable."""
        if self.step == 0:
            self.trainable.train()
            self.trainable.begin(*self._parts.batch(self.batch_indices(0)))
        try:
            while self.step < self._settings.steps:
                self._one_step()
                told(Progress(self.step, self._settings.steps, self.losses[-1]))
                if self.step % CHECKPOINT_EVERY == 0:
                    self.save()
        except KeyboardInterrupt:
            self.save()
            raise
        self._take_average(self.trainable)
        self.trainable.eval()

    def trained(self) -> Trainable:
        """A copy of the trainable as it would be if training ended at this step: averaged weights."""
        found = copy.deepcopy(self.trainable)
        self._take_average(found)
        return found.eval()

    def batch_indices(self, step: int) -> list[int]:
        """The parts' indices for a step: epochs of seeded permutations, laid end to end."""
        size = self._settings.batch_size
        found: list[int] = []
        for position in range(step * size, (step + 1) * size):
            epoch, place = divmod(position, self._parts.count)
            found.append(self._epoch(epoch)[place])
        return found

    def schedule(self, step: int) -> float:
        """What learning rates are multiplied by: 1, or a cosine from 1 down to FINAL_RATE."""
        if self._settings.schedule == "constant":
            return 1.0
        share = 0.5 * (1 + math.cos(math.pi * step / self._settings.steps))
        return FINAL_RATE + (1 - FINAL_RATE) * share

    def save(self) -> None:
        """Writes the checkpoint."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in self.trainable.state_dict().items():
            tensors[f"trainable.{name}"] = tensor
        for name, tensor in self._averaged.state_dict().items():
            tensors[f"averaged.{name}"] = tensor
        for number, state in self._optimiser.state_dict()["state"].items():
            for name, tensor in state.items():
                tensors[f"optimiser.{number}.{name}"] = tensor
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        metadata = {"step": str(self.step), "fingerprint": self._fingerprint}
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        atomic_file.write_bytes(self._checkpoint, safetensors.torch.save(copies, metadata))

    def resume(self) -> bool:
        """Takes up the checkpoint if there is one of the same settings and data. Says whether it did."""
        if not self._checkpoint.is_file():
            return False
        try:
            with safetensors.safe_open(self._checkpoint, framework="pt") as file:
                metadata = file.metadata()
                if metadata["fingerprint"] != self._fingerprint:
                    return False
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except SafetensorError:  # half a file of an earlier life; the run starts anew
            return False
        self.trainable.load_state_dict(_part(tensors, "trainable."))
        self._averaged.load_state_dict(_part(tensors, "averaged."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "optimiser.").items():
            number, key = name.split(".", 1)
            state.setdefault(int(number), {})[key] = tensor
        full = self._optimiser.state_dict()
        full["state"] = state
        self._optimiser.load_state_dict(full)
        self.losses = tensors["losses"].tolist()
        self.step = int(metadata["step"])
        return True

    def _take_average(self, trainable: Trainable) -> None:
        if self._settings.average_decay > 0:
            trainable.trained.load_state_dict(self._averaged.module.state_dict())

    def _epoch(self, epoch: int) -> list[int]:
        if self._permutation is None or self._permutation[0] != epoch:
            random = np.random.default_rng((self._seed, epoch))
            self._permutation = (epoch, random.permutation(self._parts.count).tolist())
        return self._permutation[1]

    def _one_step(self) -> None:
        self.trainable.train()
        for group, first in zip(self._optimiser.param_groups, self._first_rates, strict=True):
            group["lr"] = first * self.schedule(self.step)
        loss = self.trainable.loss(*self._parts.batch(self.batch_indices(self.step)))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FitDiverged(f"the loss became {value} at step {self.step}; try --set learning_rate with less")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._averaged.update_parameters(self.trainable.trained)
        self.step += 1
        self.losses.append(value)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
