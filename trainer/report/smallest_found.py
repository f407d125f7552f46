"""One sentence on painted defects: from which size or contrast on an artifact finds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.painted.separation import side_px

ENOUGH = 0.9  # share found from which defects count as found
PAINTED = "Of defects painted on good pictures"
FEWEST = 10  # defects, before their share is spoken of


def smallest_found(record: dict[str, Any]) -> str:
    """One sentence: from which size on the defects are found, else from which contrast on, else how many at most."""
    sizes, contrasts = _found_from(record["cells"], "size"), _found_from(record["cells"], "contrast")
    if not sizes and not contrasts:
        return "Too few defects could be painted to say which are found."
    for name, found in (("size", sizes), ("contrast", contrasts)):
        enough = [low for low, share in found.items() if share >= ENOUGH]
        if enough:
            low, share = enough[0], found[enough[0]]
            side = side_px(low, record["picture_px"])
            what = f"the picture (about {side} x {side} pixels)" if name == "size" else "white"
            return f"{PAINTED} {100 * share:.0f} % are found from a {name} of {100 * low:.2g} % of {what} on."
    most = max([*sizes.values(), *contrasts.values()])
    return f"{PAINTED} {100 * most:.0f} % are found at most, whatever their size or contrast."


def _found_from(cells: Sequence[dict[str, Any]], axis: str) -> dict[float, float]:
    """Lower end of each bin -> the share found of all defects from there on, where there are enough of them."""
    found = {}
    for low in sorted({cell[axis][0] for cell in cells}):
        rest = [cell["not_ok"] for cell in cells if cell[axis][0] >= low]
        total = sum(one["total"] for one in rest)
        if total >= FEWEST:
            found[low] = sum(one["count"] for one in rest) / total
    return found
