"""What is tried before anything is trained: the candidates of every method, in the order in which a tie is broken."""

from __future__ import annotations

from models.heads.candidate import Candidate
from models.heads.registry import DEFAULT_METHOD, method_names, method_of

SIZES = (128, 224, 256)


def all_candidates() -> tuple[Candidate, ...]:
    """Painted defects are all local, and real ones may be in the picture as a whole: of two candidates that painted
    defects cannot tell apart, the one that sees more is taken. So the order is that of the registry, not of figures.
    """
    return tuple(candidate for name in method_names() for candidate in method_of(name).candidates)


def fine_candidates(size: int) -> tuple[Candidate, ...]:
    """The same for small defects on large pictures that are seen whole, at `size` pixels."""
    return tuple(candidate for name in method_names() for candidate in method_of(name).fine_candidates(size))


def is_default(candidate: Candidate) -> bool:
    """Whether it is of the default method, which a tie is given to."""
    return bool(candidate.settings["method"] == DEFAULT_METHOD)
