"""A head for each group of channels of a product: each has learned one light alone, and all speak in one unit.

    score of a group = (score of its head - usual) / spread         the same for its map, by the peaks of good maps

`usual` is the median over good parts that the head had not seen, `spread` reaches from there to their 95th percentile.
So no group is above the others by nature, and the highest of a part says which light shows what is strange.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from models.heads.base import Head, HeadOutput, Method, SourceNeeds
from models.heads.parts.numbered_tensors import by_number, numbered
from models.imaging.channels import ChannelGroup
from models.sources.registry import Activations

UPPER = 0.95
SMALLEST = 1e-6  # of a spread, as a share of what is usual


class Unit(BaseModel):
    """What is usual, and how far good parts lie above it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usual: float = Field(allow_inf_nan=False)
    spread: float = Field(gt=0, allow_inf_nan=False)

    @classmethod
    def of(cls, values: Tensor) -> Self:
        """Of values (n,) of good parts that the head has not seen."""
        values = values.double()
        usual = float(values.median())
        spread = float(values.quantile(UPPER)) - usual
        return cls(usual=usual, spread=max(spread, SMALLEST * (1 + abs(usual))))

    def measure(self, values: Tensor) -> Tensor:
        """The values in this unit."""
        return (values - self.usual) / self.spread


class GroupRecord(BaseModel):
    """One group's head, and the units of its scores and maps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: dict[str, object]
    score: Unit
    map: Unit


class GroupedRecord(BaseModel):
    """The heads in the order of the preprocessing's groups; their tensors are NUMBER.NAME."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[GroupRecord, ...] = Field(min_length=2)


class GroupHead(Head):
    """The head of one group, in the common unit."""

    method: ClassVar[str] = "group"
    record: GroupRecord

    def __init__(self, head: Head, record: GroupRecord) -> None:
        super().__init__()
        self.inside = head
        self.record = record

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return self.inside.needs

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge."""
        found = self.inside.judge(images, activations, wants_map, further)
        return found._replace(scores=self.record.score.measure(found.scores), maps=self.record.map.measure(found.maps))

    def changed(self, images: Tensor, activations: Activations) -> Tensor:
        """See Head.changed."""
        return self.inside.changed(images, activations)

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        return self.inside.tensors()


class GroupedHead(Head):
    """All heads of a product with groups of channels. Rows go to the head of their group, never to this one."""

    method: ClassVar[str] = "groups"
    record: GroupedRecord

    def __init__(self, heads: Sequence[GroupHead]) -> None:
        super().__init__()
        self.record = GroupedRecord(groups=tuple(head.record for head in heads))
        self.heads = nn.ModuleList(heads)

    @property
    def groups(self) -> list[GroupHead]:
        """The head of each group, in order."""
        return [head for head in self.heads if isinstance(head, GroupHead)]

    @property
    def needs(self) -> SourceNeeds:
        """What any of them reads."""
        taps = tuple(dict.fromkeys(tap for head in self.groups for tap in head.needs.taps))
        return SourceNeeds(taps, any(head.needs.further_pass for head in self.groups))

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """Raises TypeError: which group an image is of is known where its row is made."""
        raise TypeError("a row of a product with groups of channels goes to the head of its group")

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        return numbered(self.groups)

    def placed(self, place: Callable[[Head], Head]) -> GroupedHead:
        """The same with each head as `place` gives it: on another device, say."""
        return GroupedHead([head for one in self.groups if isinstance(head := place(one), GroupHead)])


def heads_of(head: Head) -> Sequence[Head]:
    """The head of each group; of a head without groups that head alone."""
    return head.groups if isinstance(head, GroupedHead) else (head,)


def load_grouped(
    method: Method[Any], record: Mapping[str, object], tensors: Mapping[str, Tensor], groups: Sequence[ChannelGroup]
) -> GroupedHead:
    """The head of a stored record and its tensors. Raises ValueError where they do not fit each other or the groups."""
    stored = GroupedRecord.model_validate(record)
    if len(stored.groups) != len(groups):
        raise ValueError(f"{len(stored.groups)} heads for {len(groups)} groups of channels")
    own = by_number(tensors, len(groups))
    return GroupedHead(
        [GroupHead(method.load(one.head, found), one) for one, found in zip(stored.groups, own, strict=True)]
    )
