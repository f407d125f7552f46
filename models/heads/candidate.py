"""A way to judge with a method that is worth trying on a product's own pictures, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """`settings`, the method among them. `tried` is what is measured where they would take minutes to train."""

    name: str
    settings: Mapping[str, Any]
    tried: Mapping[str, Any] = field(default_factory=dict)
