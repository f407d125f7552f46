"""The settings of a combination of methods, and what its head keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from models.heads.base import MethodConfig
from models.heads.registry import config_of

Sum = Literal["logs", "p_values"]
MemberSettings = Annotated[SerializeAsAny[MethodConfig], BeforeValidator(config_of)]
NAME = "combined"


class Weights(BaseModel):
    """How much a member's score counts in the sum, how much the peak of its map, and the map itself in the picture.

    0 leaves one out. A score that is a squared distance counts half, beside those that are lengths.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float = Field(default=1.0, ge=0, le=10)
    peak: float = Field(default=0.0, ge=0, le=10)
    map: float = Field(default=1.0, ge=0, le=10)

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """What of a member is summed, and with which weight."""
        both = (("score", self.score), ("peak", self.peak))
        return tuple((name, weight) for name, weight in both if weight > 0)


# What is unusual of the picture as a whole, and the peak of MKD's map, without a cloner: fitted in seconds.
WHOLE = "whole"
WHOLE_SETTINGS: Mapping[str, object] = {
    "settings": {
        "method": "mkd",
        "cloner": "none",
        "score_views": ("pool4:100",),
        "map_views": ("pool3:0", "pool3:25", "pool4:25"),
        "attribution": "discrepancy",
    },
    "score": 0.5,
    "peak": 1.0,
}


class Member(Weights):
    """One method with its own settings. As a text, a method's name with all its defaults, or "whole" (see WHOLE)."""

    settings: MemberSettings

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return dict(WHOLE_SETTINGS) if value == WHOLE else {"settings": {"method": value}}

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if not self.terms:
            raise ValueError("neither score nor peak of this member counts")
        if self.settings.method == NAME:
            raise ValueError("a combination cannot be a member of another one")
        return self

    def __str__(self) -> str:
        """The text that it is read from, or its settings in full where there is none."""
        for text in (WHOLE, self.settings.method):
            if self == Member.model_validate(text):
                return text
        return self.model_dump_json()


class CombinedConfig(MethodConfig):
    """`members` share one source pass. `sum` is how their scores become one (`models.heads.combined.head`).

    `folds` parts of the training images, each judged by members that were fitted to the others, say what is usual:
    which member decided, and with "p_values" the score itself, follow from it. Never from the images that the threshold
    is counted on.
    """

    method: Literal["combined"] = "combined"
    members: tuple[Member, ...] = Field(default=("padim", WHOLE), validate_default=True, min_length=1, max_length=8)
    sum: Sum = "logs"
    folds: int = Field(default=4, ge=2, le=20)


class MemberRecord(Weights):
    """A fitted member: its method and record. `map_level` is the usual peak of its map on good images."""

    name: str
    method: str
    head: Mapping[str, object]
    map_level: float = Field(gt=0)


class CombinedRecord(BaseModel):
    """A fitted combination; its tensors hold the members' as NUMBER.NAME, and `usual`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[MemberRecord, ...] = Field(min_length=1)
    sum: Sum
