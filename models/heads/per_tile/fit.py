"""Fits a head to each tile of good pictures, and measures what level its map reaches on pictures it has not seen."""

from __future__ import annotations

from typing import Any

import torch

from models.heads.base import FitRun, GoodParts, Head, Method, MethodConfig, to_device
from models.heads.parts.folds import folds_of
from models.heads.parts.member_run import MemberRun
from models.heads.per_tile.head import PerTileHead

FOLDS = 2  # a level is a median: two halves tell it as well as more would
FEWEST = 8  # pictures to fit to: each half has to be fitted to, too
SMALLEST_LEVEL = 1e-9


def fit_per_tile(
    method: Method[Any], config: MethodConfig, parts: GoodParts, run: FitRun, tiles: int, copies: int = 1
) -> PerTileHead:
    """A head for each tile. `parts` are picture by picture, in each tile by tile, in each `copies` of the tile.

    Raises ValueError for a method whose tiles cannot have heads of their own, or too few pictures.
    """
    if not method.own_tiles:
        raise ValueError(f"the method {method.name} has one head for all tiles: take --tile-heads shared")
    pictures = parts.count // (tiles * copies)
    if pictures < FEWEST:
        raise ValueError(
            f"{pictures} pictures are too few to fit a head to each tile: at least {FEWEST} are needed. "
            "Take --tile-heads shared"
        )
    own = method.for_one_tile(config, tiles)
    heads, levels = [], []
    for number in range(tiles):
        of_tile = parts.subset([index for index in range(parts.count) if index // copies % tiles == number])
        quiet = MemberRun(run, f"tile {number}", quiet=True)
        heads.append(method.fit(own, of_tile, quiet))
        levels.append(_level(method, own, of_tile, quiet))
        run.say(f"tile {number + 1} of {tiles}: good pictures reach {levels[-1]:.3g}")
    run.note("tile_levels", [round(level, 6) for level in levels])
    return PerTileHead(heads, levels)


def _level(method: Method[Any], config: MethodConfig, parts: GoodParts, run: FitRun) -> float:
    """The median peak of the tile's map, over pictures that the head has not seen."""
    peaks = []
    for fold in folds_of(parts, FOLDS, run.generator("per tile folds")):
        head = to_device(method.fit(config, fold.seen, run), run.device)
        peaks.append(_peaks(head, fold.unseen))
    return max(float(torch.cat(peaks).median()), SMALLEST_LEVEL)


@torch.no_grad()
def _peaks(head: Head, parts: GoodParts) -> torch.Tensor:
    found = []
    for images, activations in parts.batches():
        maps = head.judge(images, activations, [True] * len(images)).maps
        found.append(maps.flatten(1).amax(dim=1).cpu())
    return torch.cat(found)
