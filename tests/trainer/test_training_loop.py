"""The training loop: seeded, resumable to the same end, averaging, and honest when it diverges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from models.backends.base import SourceBackend
from models.heads.base import FitDiverged
from models.heads.mkd.cloner import Cloner
from models.heads.mkd.config import MkdConfig
from models.heads.mkd.fit import MkdTrainable
from models.sources.registry import SOURCES
from trainer import loop as subject
from trainer.activations import ActivationStore
from trainer.good_parts import StoredParts
from trainer.loop import GradientLoop, Progress

COUNT, STEPS = 10, 7
VGG16 = SOURCES["vgg16"]
CPU = torch.device("cpu")
State = dict[str, torch.Tensor]


@pytest.fixture
def store(averaging_backend: SourceBackend, tmp_path: Path) -> Iterator[ActivationStore]:
    random = np.random.default_rng(0)
    with ActivationStore(COUNT, 32, averaging_backend, VGG16, tuple(VGG16.taps), folder=tmp_path / "cache") as opened:
        opened.fill(iter([random.random((3, 32, 32), dtype=np.float32) for _ in range(COUNT)]))
        yield opened


def fit(
    store: ActivationStore, checkpoint: Path, fingerprint: str = "same", seed: int = 0, **fields: object
) -> GradientLoop:
    chosen = MkdConfig.model_validate({"recipe": "paper", "steps": STEPS, "batch_size": 4, **fields})
    torch.manual_seed(seed)
    parts = StoredParts(store, range(COUNT), CPU, ExitStack())
    trainable = MkdTrainable(chosen, parts.rms(), VGG16)
    return GradientLoop(trainable, parts, chosen, seed=seed, checkpoint=checkpoint, fingerprint=fingerprint)


def state(of: GradientLoop) -> State:
    return {name: tensor.clone() for name, tensor in of.trainable.state_dict().items()}


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class InterruptAt:
    """A progress callback that presses Ctrl-C after a step."""

    def __init__(self, step: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.step, self.error = step, error

    def __call__(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise self.error


def test_training_lowers_the_loss(store: ActivationStore, tmp_path: Path) -> None:
    run = fit(store, tmp_path / "c", steps=30)
    run.run()
    assert np.mean(run.losses[-3:]) < 0.8 * run.losses[0]
    assert not run.trainable.training


def test_every_step_is_told_once(store: ActivationStore, tmp_path: Path) -> None:
    told: list[Progress] = []
    run = fit(store, tmp_path / "c")
    run.run(told.append)
    assert [progress.step for progress in told] == list(range(1, STEPS + 1))
    assert [progress.loss for progress in told] == run.losses


def test_the_seed_decides(store: ActivationStore, tmp_path: Path) -> None:
    runs = [fit(store, tmp_path / "c", seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        run.run()
    assert same(state(runs[0]), state(runs[1]))
    assert not same(state(runs[0]), state(runs[2]))


@pytest.mark.parametrize("step", [1, 3, STEPS])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    store: ActivationStore, tmp_path: Path, step: int
) -> None:
    whole = fit(store, tmp_path / "whole")
    whole.run()
    first = fit(store, tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        first.run(InterruptAt(step))
    second = fit(store, tmp_path / "c")
    assert second.resume()
    assert second.step == step
    second.run()
    assert same(state(second), state(whole))
    assert second.losses == whole.losses


def test_a_run_that_was_killed_goes_on_from_the_last_regular_checkpoint(
    store: ActivationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "CHECKPOINT_EVERY", 2)
    whole = fit(store, tmp_path / "whole")
    whole.run()
    with pytest.raises(RuntimeError):
        fit(store, tmp_path / "c").run(InterruptAt(5, RuntimeError))
    second = fit(store, tmp_path / "c")
    assert second.resume()
    assert second.step == 4
    second.run()
    assert same(state(second), state(whole))


def test_a_checkpoint_of_another_run_is_left_alone(store: ActivationStore, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(store, tmp_path / "c").run(InterruptAt(2))
    other = fit(store, tmp_path / "c", fingerprint="another")
    assert not other.resume()
    assert other.step == 0


def test_without_a_checkpoint_a_run_starts_at_the_beginning(store: ActivationStore, tmp_path: Path) -> None:
    assert not fit(store, tmp_path / "nowhere" / "c").resume()


def test_a_checkpoint_is_written_beside_and_renamed(store: ActivationStore, tmp_path: Path) -> None:
    run = fit(store, tmp_path / "work" / "checkpoint.safetensors")
    run.save()
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["checkpoint.safetensors"]


def test_every_image_is_seen_once_in_each_epoch(store: ActivationStore, tmp_path: Path) -> None:
    run = fit(store, tmp_path / "c")
    seen = [index for step in range(5) for index in run.batch_indices(step)]
    assert sorted(seen[:COUNT]) == sorted(seen[COUNT:]) == list(range(COUNT))
    assert seen[:COUNT] != seen[COUNT:]
    assert run.batch_indices(3) == fit(store, tmp_path / "c").batch_indices(3)


def test_a_batch_larger_than_the_set_is_filled_from_the_next_epoch(store: ActivationStore, tmp_path: Path) -> None:
    indices = fit(store, tmp_path / "c", batch_size=25).batch_indices(0)
    assert np.bincount(indices, minlength=COUNT).min() >= 2


def test_the_learning_rate_falls_as_a_cosine_or_stays(store: ActivationStore, tmp_path: Path) -> None:
    cosine = fit(store, tmp_path / "c", steps=100)
    rates = [cosine.schedule(step) for step in range(101)]
    assert rates[0] == pytest.approx(1)
    assert rates[50] == pytest.approx((1 + subject.FINAL_RATE) / 2)
    assert rates[100] == pytest.approx(subject.FINAL_RATE)
    assert rates == sorted(rates, reverse=True)
    constant = fit(store, tmp_path / "c", schedule="constant")
    assert {constant.schedule(step) for step in range(9)} == {1.0}


def test_averaged_weights_are_what_is_kept_where_averaging_is_on(store: ActivationStore, tmp_path: Path) -> None:
    plain, averaged = (fit(store, tmp_path / "c", average_decay=decay) for decay in (0.0, 0.9))
    for run in (plain, averaged):
        run.run()
    assert plain.losses == averaged.losses
    assert not same(state(plain), state(averaged))


def test_a_loss_that_is_no_number_any_more_is_told(store: ActivationStore, tmp_path: Path) -> None:
    with pytest.raises(FitDiverged, match="--set learning_rate"):
        fit(store, tmp_path / "c", learning_rate=1e30, batchnorm=False).run()


def test_the_taps_that_are_trained_may_be_fewer(store: ActivationStore, tmp_path: Path) -> None:
    run = fit(store, tmp_path / "c", steps=2, taps=("pool2", "pool3"))
    run.run()
    assert isinstance(run.trainable, MkdTrainable)
    cloner = run.trainable.cloner
    assert isinstance(cloner, Cloner)
    assert len(cloner.blocks) < len(VGG16.taps) + 1
