"""Says which group a region belongs to: the one whose centre is nearest, if it is near enough.

Regions are put into groups one by one, in the order of their verdicts, and stay where they are. So a group that people
have named stays what it was, whatever comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
STORED = np.dtype("<f4")


class Centre(NamedTuple):
    """A group as a region is compared with it: `total` (C,) is the sum of its members' descriptors."""

    group: int
    total: Vector
    reach: float


def nearest(descriptor: Vector, groups: Sequence[Centre]) -> tuple[Centre, float] | None:
    """The nearest group and the distance (1 - cosine) from its centre; None where all are out of reach."""
    if not groups:
        return None
    totals = np.stack([group.total for group in groups])
    lengths = np.linalg.norm(totals, axis=1)
    distances = 1 - totals @ descriptor / np.maximum(lengths * np.linalg.norm(descriptor), np.float32(1e-12))
    reaches = np.array([group.reach for group in groups])
    distances = np.where(distances <= reaches, distances, np.inf)
    best = int(distances.argmin())
    return (groups[best], max(0.0, float(distances[best]))) if np.isfinite(distances[best]) else None


def to_bytes(vector: Vector) -> bytes:
    """As the database keeps it."""
    return vector.astype(STORED).tobytes()


def from_bytes(data: bytes) -> Vector:
    """The inverse."""
    return np.frombuffer(data, STORED).astype(np.float32)
