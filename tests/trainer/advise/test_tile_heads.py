"""Tiles get heads of their own where these tell painted defects better, by more than one standard error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.heads.registry import config_of
from trainer.advise import tile_heads
from trainer.advise.tile_heads import AutoTileHeads
from trainer.cli.arguments import parser
from trainer.cli.settings import settings_of
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.run import TrainingJob
from trainer.training_set import TrainingSet, read_training_set

PATCHCORE = config_of({"method": "patchcore", "bank_size": 50})
TILES = TrainingSettings(method=PATCHCORE, image_size=32, view="tiles", tile_side=32, tile_overlap=16)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """Twenty-four pictures of 48 x 48."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(24):
        grain = random.integers(90, 150, (48, 48, 3)).astype(np.uint8)
        grain[:, 24:] //= 2
        assert cv2.imwrite(str(folder / f"{number:03}.png"), cv2.GaussianBlur(grain, (0, 0), 1))
    return read_training_set(folder)


def job_of(folder: Path, settings: TrainingSettings) -> TrainingJob:
    return TrainingJob(folder, "bolt", folder, settings, backend="torch", threads=1)


@pytest.mark.parametrize(("own", "error", "taken"), [(0.95, 0.04, "own"), (0.95, 0.06, "shared"), (0.8, 0.0, "shared")])
def test_a_tie_goes_to_one_head(
    own: float,
    error: float,
    taken: str,
    found: TrainingSet,
    tmp_path: Path,
    silent_display: Display,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tile_heads._Trial, "run", lambda self: (0.9, own, error, {"painted": 3}))
    settings, record = AutoTileHeads()(job_of(tmp_path, TILES), found, silent_display)
    assert settings.tile_heads == taken
    kept = record["tile_heads"]
    assert isinstance(kept, dict)
    assert (kept["taken"], kept["shared"], kept["own"]) == (taken, 0.9, own)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"view": "stretch", "tile_side": None, "tile_overlap": None}, "one view"),
        ({"method": config_of({"method": "mkd"})}, "mkd has no other way"),
        ({"hold_out": 0.6}, "too few"),
    ],
)
def test_where_there_is_nothing_to_choose_it_is_one_head(
    changes: Mapping[str, object],
    words: str,
    found: TrainingSet,
    tmp_path: Path,
    silent_display: Display,
    said: list[str],
) -> None:
    settings = TILES.model_copy(update={**changes, "tile_heads": "auto"})
    taken, record = AutoTileHeads()(job_of(tmp_path, settings), found, silent_display)
    assert taken.tile_heads == "shared"
    assert record == {}
    assert words in said[-1]


def test_tile_heads_without_tiles_are_refused() -> None:
    given = parser().parse_args(["fit", "pictures", "--product", "bolt", "--tile-heads", "auto"])
    with pytest.raises(ValueError, match="tile_heads go with tiles"):
        settings_of(given)
    given = parser().parse_args(["fit", "pictures", "--product", "bolt", "--view", "tiles", "--tile-heads", "auto"])
    assert settings_of(given).tile_heads == "auto"


@pytest.mark.long
def test_both_ways_are_tried_on_painted_defects(
    found: TrainingSet, tmp_path: Path, silent_display: Display, source_weights: Mapping[str, torch.Tensor]
) -> None:
    settings, record = AutoTileHeads()(job_of(tmp_path, TILES), found, silent_display)
    kept = record["tile_heads"]
    assert isinstance(kept, dict)
    assert kept["pictures"]["painted"] > 100
    assert 0.5 < kept["shared"] <= 1
    assert 0.5 < kept["own"] <= 1
    assert settings.tile_heads == kept["taken"]
