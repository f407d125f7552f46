"""The cache of source activations: right within half precision, bounded, and gone afterwards."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.backends.base import SourceBackend
from models.sources.registry import SOURCES
from trainer.activations import DEFAULT_LIMIT_BYTES, ActivationError, ActivationStore, bytes_per_image
from trainer.cli.arguments import parser

COUNT, SIZE = 20, 32  # more than one source batch
VGG16 = SOURCES["vgg16"]
TAPS = tuple(VGG16.taps)
CPU = torch.device("cpu")


class Counting(SourceBackend, Protocol):
    """An engine that counts what it was given."""

    images_seen: int


def images() -> Iterator[npt.NDArray[np.float32]]:
    random = np.random.default_rng(0)
    for _ in range(COUNT):
        yield random.random((3, SIZE, SIZE), dtype=np.float32)


def store(engine: SourceBackend, folder: Path, limit: int = DEFAULT_LIMIT_BYTES) -> ActivationStore:
    return ActivationStore(COUNT, SIZE, engine, VGG16, TAPS, folder=folder, limit_bytes=limit)


def test_cached_and_computed_anew_agree(averaging_backend: SourceBackend, tmp_path: Path) -> None:
    with store(averaging_backend, tmp_path) as cached, store(averaging_backend, tmp_path, limit=0) as anew:
        assert (cached.cached, anew.cached) == (True, False)
        cached.fill(images())
        anew.fill(images())
        assert cached.rms() == anew.rms()
        for indices in ([0], [19, 3, 3, 17], list(range(COUNT))):
            (some, taps), (same, expected) = cached.batch(indices, CPU), anew.batch(indices, CPU)
            assert torch.equal(some, same)
            for tap in TAPS:
                assert taps[tap].dtype == torch.float32
                assert torch.allclose(taps[tap], expected[tap], rtol=2e-3, atol=1e-6)


def test_the_images_come_back_as_they_were_given(averaging_backend: SourceBackend, tmp_path: Path) -> None:
    given = np.stack(list(images()))
    with store(averaging_backend, tmp_path) as cached:
        cached.fill(images())
        assert np.array_equal(cached.batch([7, 2], CPU)[0].numpy(), given[[7, 2]])
        parts = [batch.numpy() for batch, _ in cached.batches(range(COUNT), CPU, size=6)]
    assert [len(part) for part in parts] == [6, 6, 6, 2]
    assert np.array_equal(np.concatenate(parts), given)


def test_the_rms_is_over_all_images(averaging_backend: SourceBackend, tmp_path: Path) -> None:
    everything = averaging_backend.activations(torch.from_numpy(np.stack(list(images()))))
    with store(averaging_backend, tmp_path) as cached:
        cached.fill(images())
    for tap in TAPS:
        assert cached.rms()[tap] == pytest.approx(float(everything[tap].square().mean().sqrt()), rel=1e-5)


def test_the_source_runs_once_over_the_set(averaging_backend: Counting, tmp_path: Path) -> None:
    told: list[int] = []
    with store(averaging_backend, tmp_path) as cached:
        cached.fill(images(), told.append)
        for _ in range(3):
            cached.batch([1, 2, 3], CPU)
    assert averaging_backend.images_seen == COUNT
    assert told == [16, 20]


def test_the_files_take_what_was_reckoned_and_are_gone_afterwards(
    averaging_backend: SourceBackend, tmp_path: Path
) -> None:
    with store(averaging_backend, tmp_path / "work") as cached:
        cached.fill(images())
        sizes = [file.stat().st_size for file in (tmp_path / "work").rglob("*.npy")]
        assert len(sizes) == 1 + len(TAPS)
        assert sum(sizes) == pytest.approx(COUNT * bytes_per_image(SIZE, VGG16, TAPS), rel=0.01)
    assert list((tmp_path / "work").iterdir()) == []


def test_the_files_are_gone_after_an_error_too(averaging_backend: SourceBackend, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store(averaging_backend, tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_fewer_images_than_promised_is_an_error(averaging_backend: SourceBackend, tmp_path: Path) -> None:
    with (
        store(averaging_backend, tmp_path) as cached,
        pytest.raises(ValueError, match="20 images were promised and 3 came"),
    ):
        cached.fill(image for number, image in enumerate(images()) if number < 3)


class Usage(NamedTuple):
    free: int


def test_a_disk_without_room_is_refused_before_anything_is_written(
    averaging_backend: SourceBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=COUNT * bytes_per_image(SIZE, VGG16, TAPS) - 1))
    with (
        pytest.raises(ActivationError, match=r"the activation cache needs .* GiB") as caught,
        store(averaging_backend, tmp_path),
    ):
        pytest.fail("it was opened")
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with store(averaging_backend, tmp_path, limit=0):  # which needs room for the images only
        pass


def test_the_refusal_names_only_options_that_exist(
    averaging_backend: SourceBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=0))
    with pytest.raises(ActivationError) as caught, store(averaging_backend, tmp_path):
        pytest.fail("it was opened")
    with pytest.raises(SystemExit):
        parser().parse_args(["fit", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z-]+", str(caught.value)))
    assert named
    assert named <= options


def test_a_write_that_fails_is_told_in_words_and_leaves_nothing(
    averaging_backend: SourceBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np.lib.format, "open_memmap", full)
    with pytest.raises(ActivationError, match="No space left on device"), store(averaging_backend, tmp_path):
        pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_words(averaging_backend: SourceBackend, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ActivationError, match="taken"), store(averaging_backend, tmp_path / "taken" / "work"):
        pytest.fail("it was opened")
