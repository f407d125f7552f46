"""What is made of source weights is made once, read by the next, and made anew where the disk fails it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.backends.kept import FOLDER, Kept


def once(value: dict[str, Tensor]) -> Callable[[], dict[str, Tensor]]:
    """Gives the value, and fails when it is asked a second time."""
    left = [value]
    return left.pop


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow, which is as a full disk for who writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_tensors_are_made_once_and_mapped_from_then_on(tmp_path: Path) -> None:
    kept, make = Kept(tmp_path, "source"), once({"weight": torch.arange(6.0).view(2, 3)})
    first = kept.tensors("layer", make)["weight"]
    again = kept.tensors("layer", make)["weight"]
    assert torch.equal(first, torch.arange(6.0).view(2, 3))
    assert torch.equal(first, again)
    assert str(tmp_path / FOLDER / "source-layer") in Path("/proc/self/maps").read_text()


def test_another_prefix_is_another_file(tmp_path: Path) -> None:
    Kept(tmp_path, "one").data("graph", lambda: b"one")
    assert Kept(tmp_path, "two").data("graph", lambda: b"two") == b"two"
    assert Kept(tmp_path, "one").data("graph", lambda: pytest.fail("made again")) == b"one"


def test_a_file_that_is_cut_off_is_made_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "source")
    kept.tensors("layer", lambda: {"weight": torch.ones(100)})
    file = tmp_path / FOLDER / "source-layer"
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(kept.tensors("layer", lambda: {"weight": torch.zeros(100)})["weight"], torch.zeros(100))
    assert torch.equal(kept.tensors("layer", dict)["weight"], torch.zeros(100))


def test_a_folder_that_cannot_be_written_costs_no_more_than_the_making(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file", "source")
    assert kept.data("graph", lambda: b"made") == b"made"
    assert torch.equal(kept.tensors("layer", lambda: {"weight": torch.ones(2)})["weight"], torch.ones(2))


def test_a_full_disk_costs_no_more_than_the_making_and_leaves_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "source")
    with full_disk():
        assert kept.data("graph", lambda: b"made") == b"made"
        assert torch.equal(kept.tensors("layer", lambda: {"weight": torch.ones(2)})["weight"], torch.ones(2))
    assert list((tmp_path / FOLDER).iterdir()) == []
