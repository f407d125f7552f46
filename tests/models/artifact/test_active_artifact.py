"""A folder means itself, or the version of a product that a service would serve; never another one in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.artifact import ArtifactError, active_artifact
from models.artifact.manifest import MANIFEST


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """Versions 9 and 10, and a folder that is none."""
    for version in ("9", "10", "notes"):
        (tmp_path / "bolt" / version).mkdir(parents=True)
    for version in ("9", "10"):
        (tmp_path / "bolt" / version / MANIFEST).touch()
    return tmp_path / "bolt"


def state(product: Path, text: str) -> None:
    (product.parent / ".mkd-state.json").write_text(text)


def test_an_artifact_is_itself(product: Path) -> None:
    assert active_artifact(product / "9") == product / "9"


def test_a_product_is_its_highest_version_as_people_count(product: Path) -> None:
    assert active_artifact(product) == product / "10"
    state(product, json.dumps({"products": {"nut": {"pin": "9"}, "bolt": {"pin": None}}}))
    assert active_artifact(product) == product / "10"


def test_a_pinned_version_comes_first(product: Path) -> None:
    state(product, json.dumps({"products": {"bolt": {"pin": "9"}}}))
    assert active_artifact(product) == product / "9"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps({"products": {"bolt": {"pin": "8"}}}), "its pinned version 8 is not there; name one: 9, 10"),
        ("{", "cannot be understood"),
        ("[]", "cannot be understood"),
        (json.dumps({"products": {"bolt": {"pin": "../other"}}}), "pins what is no version"),
    ],
)
def test_a_pin_that_cannot_be_followed_is_an_error_and_not_another_version(
    product: Path, text: str, reason: str
) -> None:
    state(product, text)
    with pytest.raises(ArtifactError, match=reason):
        active_artifact(product)


def test_a_folder_that_is_nothing_is_named(product: Path) -> None:
    with pytest.raises(ArtifactError, match="neither an artifact"):
        active_artifact(product / "notes")
    with pytest.raises(ArtifactError, match="there is no such folder"):
        active_artifact(product / "none")
