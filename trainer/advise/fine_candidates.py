"""What is tried for small defects on large pictures that are seen whole: windows of a few places, whatever the size."""

from __future__ import annotations

from models.heads.candidate import Candidate


def fine_candidates(size: int) -> tuple[Candidate, ...]:
    """What is tried for small defects on pictures that are seen at `size` pixels, where each part may look different.

    Windows are so many places wide whatever the size is. They were chosen by defects painted on boards
    (docs/results.md, "Large pictures"); what tells pictures and what tells places apart need not be the same.
    """
    near = {
        "method": "mkd",
        "cloner": "none",
        "attribution": "discrepancy",
        "map_log": False,
        "map_sigma": 4.0,
        "score_views": (_view("pool2", 4, 3, size), _view("pool3", 8, 3, size)),
    }
    finer = (_view("pool2", 4, 5, size), _view("pool3", 8, 3, size))
    patches = {"taps": ("pool2", "pool3"), "score_share": 0.001}
    return (
        Candidate(
            "mkd, small windows",
            {**near, "taps": ("pool2", "pool3", "pool4"), "map_views": (*finer, _view("pool4", 16, 2, size))},
        ),
        Candidate("mkd, small windows, less deep", {**near, "taps": ("pool2", "pool3"), "map_views": finer}),
        Candidate("padim, shared covariance", {"method": "padim", "covariance": "shared", **patches}),
        Candidate("patchcore", {"method": "patchcore"}),
        Candidate("patchcore, pool3", {"method": "patchcore", "taps": ("pool3",), "score_share": 0.001}),
    )


def _view(tap: str, stride: int, places: int, size: int) -> str:
    """The view through windows of so many places of a tap."""
    return f"{tap}:{max(1, round(100 * places * stride / size))}"
