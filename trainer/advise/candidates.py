"""What is tried before anything is trained: methods with settings, in the order in which a tie is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.heads.base import MethodConfig
from models.heads.registry import DEFAULT_METHOD, config_of

SIZES = (128, 224, 256)


@dataclass(frozen=True)
class Candidate:
    """One way to judge. `tried` is what is measured in its place where `settings` would take minutes to train."""

    name: str
    settings: Mapping[str, Any]
    tried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> MethodConfig:
        """The settings that a fit would have."""
        return config_of(self.settings)

    @property
    def tried_config(self) -> MethodConfig:
        """The settings that are measured."""
        return config_of(self.tried or self.settings)

    @property
    def is_default(self) -> bool:
        """Whether it is the default method, which a tie is given to."""
        return bool(self.settings["method"] == DEFAULT_METHOD)


# Painted defects are all local, and real ones may be in the picture as a whole: of two candidates that painted defects
# cannot tell apart, the one that sees more is taken. So the order is by what they see, not by their figures.
CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        "mkd, two sizes",
        {"method": "mkd", "two_sizes": True},
        tried={"method": "mkd", "two_sizes": True, "cloner": "none", "attribution": "discrepancy"},
    ),
    Candidate("mkd", {"method": "mkd"}, tried={"method": "mkd", "cloner": "none", "attribution": "discrepancy"}),
    Candidate("combined", {"method": "combined"}),
    Candidate("combined with patchcore", {"method": "combined", "members": ("padim", "whole", "patchcore")}),
    Candidate("padim", {"method": "padim"}),
    Candidate("padim, pool3 and pool4", {"method": "padim", "taps": ("pool3", "pool4")}),
    Candidate("padim, shared covariance", {"method": "padim", "covariance": "shared"}),
    Candidate("patchcore", {"method": "patchcore"}),
    Candidate("patchcore, pool2 and pool3", {"method": "patchcore", "taps": ("pool2", "pool3")}),
)
