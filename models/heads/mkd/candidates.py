"""What of MKD is worth trying on a product's own pictures: at any size, and for small defects on large pictures."""

from __future__ import annotations

from models.heads.candidate import Candidate

_QUICK = {"method": "mkd", "cloner": "none", "attribution": "discrepancy"}
CANDIDATES = (
    Candidate("mkd, two sizes", {"method": "mkd", "two_sizes": True}, tried={**_QUICK, "two_sizes": True}),
    Candidate("mkd", {"method": "mkd"}, tried=_QUICK),
)


def small_windows(size: int) -> tuple[Candidate, ...]:
    """Windows of a few places whatever the size: for pictures seen at `size` pixels of which each may look different.

    They were chosen by defects painted on boards (docs/results.md, "Large pictures"); what tells pictures and what
    tells places apart need not be the same.
    """
    near = {
        **_QUICK,
        "map_log": False,
        "map_sigma": 4.0,
        "score_views": (_view("pool2", 4, 3, size), _view("pool3", 8, 3, size)),
    }
    finer = (_view("pool2", 4, 5, size), _view("pool3", 8, 3, size))
    return (
        Candidate(
            "mkd, small windows",
            {**near, "taps": ("pool2", "pool3", "pool4"), "map_views": (*finer, _view("pool4", 16, 2, size))},
        ),
        Candidate("mkd, small windows, less deep", {**near, "taps": ("pool2", "pool3"), "map_views": finer}),
    )


def _view(tap: str, stride: int, places: int, size: int) -> str:
    """The view through windows of so many places of a tap."""
    return f"{tap}:{max(1, round(100 * places * stride / size))}"
