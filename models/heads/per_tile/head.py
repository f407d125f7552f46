"""A head for each tile of a picture, all of one method, judged in one batch with every other row.

score = score of the tile's head / its level
map   = map of the tile's head / its level          level: the usual peak of that tile's map on unseen good pictures

The level makes the tiles of a picture comparable: a place where good parts differ from each other is loud in its own
unit, and would else decide on every picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from models.heads.base import Head, HeadOutput, Method, SourceNeeds
from models.heads.parts.numbered_tensors import by_number, numbered
from models.sources.registry import Activations


class TileRecord(BaseModel):
    """The head of one tile, as its method keeps it, and its level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: dict[str, object]
    level: float = Field(gt=0, allow_inf_nan=False)


class PerTileRecord(BaseModel):
    """In the order of the tiles (models.imaging.tiling.Tiling.places)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiles: tuple[TileRecord, ...] = Field(min_length=1)


class TileHead(Head):
    """The head of one tile, in units of its level."""

    def __init__(self, head: Head, level: float) -> None:
        super().__init__()
        self.head = head
        self.level = level
        self.record = head.record

    @property
    def method(self) -> str:  # type: ignore[override]
        """The method of all tiles."""
        return self.head.method

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return self.head.needs

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge."""
        found = self.head.judge(images, activations, wants_map, further)
        return found._replace(scores=found.scores / self.level, maps=found.maps / self.level)

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        return self.head.tensors()


class PerTileHead(Head):
    """`heads` in the order of the tiles. It judges by `of_view` alone: a row's tile decides which head is its own."""

    record: PerTileRecord

    def __init__(self, heads: Sequence[Head], levels: Sequence[float]) -> None:
        super().__init__()
        pairs = list(zip(heads, levels, strict=True))
        records = [TileRecord(head=head.record.model_dump(mode="json"), level=level) for head, level in pairs]
        self.record = PerTileRecord(tiles=tuple(records))
        self.tiles = nn.ModuleList(TileHead(head, level) for head, level in pairs)

    @property
    def method(self) -> str:  # type: ignore[override]
        """The method of all tiles."""
        return self.of_view(0).method

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs: all tiles are of one method with the same settings."""
        return self.of_view(0).needs

    def of_view(self, number: int) -> Head:
        """See Head.of_view."""
        found = self.tiles[number]
        assert isinstance(found, TileHead)
        return found

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """Not for rows of which the tile is not known. Raises TypeError."""
        raise TypeError("each tile has a head of its own: ask for that of the row's tile (of_view)")

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        return numbered(self.of_view(number) for number in range(len(self.tiles)))


def is_per_tile(record: Mapping[str, object]) -> bool:
    """Whether a stored record is of one head for each tile."""
    return set(record) == set(PerTileRecord.model_fields)


def load_per_tile(
    method: Method[Any], record: Mapping[str, object], tensors: Mapping[str, Tensor], tiles: int
) -> PerTileHead:
    """The head of a stored record and its tensors. Raises ValueError where they or the number of tiles do not fit."""
    stored = PerTileRecord.model_validate(record)
    if len(stored.tiles) != tiles:
        raise ValueError(f"there are heads for {len(stored.tiles)} tiles; the picture has {tiles}")
    own = by_number(tensors, tiles)
    heads = [method.load(one.head, found) for one, found in zip(stored.tiles, own, strict=True)]
    return PerTileHead(heads, [one.level for one in stored.tiles])
