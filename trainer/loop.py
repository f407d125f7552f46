"""A trainee and cached activations in, the trained trainee out: Adam, a learning-rate schedule, averaged weights.

Everything about a step follows from the seed and the step's number, so a run that was interrupted goes on from its
checkpoint and ends where it would have ended.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.heads.base import Batch, Head, to_device
from models.heads.mkd.fit import MkdTrainee
from trainer.activations import ActivationStore
from trainer.config import TrainingSettings

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


class FitDiverged(Exception):
    """The loss is no longer a number."""


class Fit:
    """One run of training. `run` may be interrupted by KeyboardInterrupt; the checkpoint is then written."""

    @classmethod
    def begin(
        cls,
        settings: TrainingSettings,
        store: ActivationStore,
        indices: Sequence[int],
        device: torch.device,
        checkpoint: Path,
        fingerprint: str,
    ) -> Self:
        """A run at its first step on those images of the store, everything random seeded by the settings."""
        torch.manual_seed(settings.seed)
        trainee = MkdTrainee(settings.recipe, store.rms(indices), settings.step_precision)
        return cls(trainee, store, indices, settings, device, checkpoint, fingerprint)

    def __init__(
        self,
        trainee: MkdTrainee,
        store: ActivationStore,
        indices: Sequence[int],
        settings: TrainingSettings,
        device: torch.device,
        checkpoint: Path,
        fingerprint: str,
    ) -> None:
        self.trainee = trainee.to(device)
        self._store = store
        self._indices = np.asarray(indices)
        self._settings = settings
        self._device = device
        self._checkpoint = checkpoint
        self._fingerprint = fingerprint  # of settings and data: another one is another run
        self._averaged = AveragedModel(
            self.trainee.cloner, multi_avg_fn=_averaging(settings.average_decay), use_buffers=True
        )
        self._optimiser = torch.optim.Adam(self.trainee.cloner.parameters(), lr=settings.learning_rate)
        self.step = 0
        self.losses: list[float] = []

    def run(self, told: Callable[[Progress], None] = lambda progress: None) -> None:
        """Trains from the current step to the last, then leaves the averaged weights in the trainee."""
        if self.step == 0:
            self.trainee.train()
            first = self._store.batch(self.batch_indices(0), self._device)
            self.trainee.measure_lambda(*first)
        try:
            while self.step < self._settings.steps:
                self._one_step()
                told(Progress(self.step, self._settings.steps, self.losses[-1]))
                if self.step % CHECKPOINT_EVERY == 0:
                    self.save()
        except KeyboardInterrupt:
            self.save()
            raise
        if self._settings.average_decay > 0:
            self.trainee.cloner.load_state_dict(self._averaged.module.state_dict())
        self.trainee.eval()

    def head(self, held_out: Iterable[Batch]) -> Head:
        """The finished head, frozen and on the device, as it would be if training ended at this step.

        `held_out` are the held-out good images with their activations, in batches (see Trainee.finish).
        """
        found = self.trained().finish(self._store.batches(self._indices.tolist(), self._device), held_out)
        return to_device(found, self._device)

    def trained(self) -> MkdTrainee:
        """A copy of the trainee as it would be if training ended at this step: averaged weights, not yet finished."""
        trainee = copy.deepcopy(self.trainee)
        if self._settings.average_decay > 0:
            trainee.cloner.load_state_dict(self._averaged.module.state_dict())
        return trainee.eval()

    def batch_indices(self, step: int) -> list[int]:
        """The store's indices for a step: epochs of seeded permutations, laid end to end."""
        count, size = len(self._indices), self._settings.batch_size
        found: list[int] = []
        for position in range(step * size, (step + 1) * size):
            epoch, place = divmod(position, count)
            found.append(int(self._indices[self._permutation(epoch)[place]]))
        return found

    def learning_rate(self, step: int) -> float:
        """Constant, or a cosine from the learning rate down to FINAL_RATE of it."""
        rate = self._settings.learning_rate
        if self._settings.schedule == "constant":
            return rate
        share = 0.5 * (1 + math.cos(math.pi * step / self._settings.steps))
        return rate * (FINAL_RATE + (1 - FINAL_RATE) * share)

    def _permutation(self, epoch: int) -> list[int]:
        cached: tuple[int, list[int]] | None = getattr(self, "_last_permutation", None)
        if cached is None or cached[0] != epoch:
            random = np.random.default_rng((self._settings.seed, epoch))
            cached = (epoch, random.permutation(len(self._indices)).tolist())
            self._last_permutation = cached
        return cached[1]

    def _one_step(self) -> None:
        self.trainee.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate(self.step)
        images, activations = self._store.batch(self.batch_indices(self.step), self._device)
        loss = self.trainee.training_loss(images, activations)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FitDiverged(f"the loss became {value} at step {self.step}; try a smaller --lr")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._averaged.update_parameters(self.trainee.cloner)
        self.step += 1
        self.losses.append(value)

    def save(self) -> None:
        """Writes the checkpoint beside and renames it."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in self.trainee.state_dict().items():
            tensors[f"trainee.{name}"] = tensor
        for name, tensor in self._averaged.state_dict().items():
            tensors[f"averaged.{name}"] = tensor
        for number, state in self._optimiser.state_dict()["state"].items():
            for name, tensor in state.items():
                tensors[f"optimiser.{number}.{name}"] = tensor
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        metadata = {"step": str(self.step), "fingerprint": self._fingerprint}
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self._checkpoint.with_suffix(".part")
        copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        part.write_bytes(safetensors.torch.save(copies, metadata))
        os.replace(part, self._checkpoint)

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
        self.trainee.load_state_dict(_part(tensors, "trainee."))
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


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
