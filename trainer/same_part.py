"""Under which exact changes of its picture a good part stays a good part: a person's choice, with its consequence.

The fit takes every training picture with its changed copies. So a part that lies or is mounted in one of these ways is
good for the artifact, which cannot tell it from the others any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from models.imaging.exact_changes import EXACT_CHANGES

Same = Literal["none", "mirrored", "upside_down", "half_turn", "both", "quarter_turns", "all"]

_MIRRORED, _UPSIDE_DOWN, _HALF_TURN = "left to right", "upside down", "turned by 180"
_PLAIN = "as it is"

# Each is a group: one change after the other is again one of them.
CHANGES_OF: Mapping[Same, Sequence[str]] = {
    "none": (_PLAIN,),
    "mirrored": (_PLAIN, _MIRRORED),
    "upside_down": (_PLAIN, _UPSIDE_DOWN),
    "half_turn": (_PLAIN, _HALF_TURN),
    "both": (_PLAIN, _MIRRORED, _UPSIDE_DOWN, _HALF_TURN),
    "quarter_turns": (_PLAIN, "turned by 90", _HALF_TURN, "turned by 270"),
    "all": tuple(EXACT_CHANGES),
}
NOT_TOLD_APART = "not_told_apart"  # under which name the artifact keeps `consequence`
NEED_SQUARES: frozenset[Same] = frozenset({"quarter_turns", "all"})

_WORDS: Mapping[Same, str] = {
    "mirrored": "mirrored left to right",
    "upside_down": "mirrored upside down",
    "half_turn": "turned by 180 degrees",
    "both": "mirrored left to right or upside down, or turned by 180 degrees",
    "quarter_turns": "turned by 90, 180 or 270 degrees",
    "all": "mirrored, or turned by 90, 180 or 270 degrees",
}


def consequence(same: Same) -> str:
    """What the artifact no longer sees, in a sentence; empty where nothing is changed."""
    if same == "none":
        return ""
    return f"a part that is {_WORDS[same]} counts as good and is not told from the others (--augment-same {same})"


def check_same(same: Same, sizes: Sequence[tuple[int, int]], groups: int) -> None:
    """Raises ValueError where pictures of those (width, height), with so many groups of channels, cannot be changed so.

    The light of a group comes from one side, which is another side in the changed picture.
    """
    if same == "none":
        return
    if groups:
        raise ValueError(
            f"--augment-same {same} is not for parts with groups of channels: a changed picture does not show what "
            "its light would show of a changed part. Give --augment-same none"
        )
    oblong = next((size for size in sizes if size[0] != size[1]), None)
    if same in NEED_SQUARES and oblong is not None:
        raise ValueError(
            f"--augment-same {same} needs square pictures; one has {oblong[0]} x {oblong[1]} pixels, where a part that "
            "is turned by 90 degrees would be cut or stretched otherwise. none, mirrored, upside_down, half_turn and "
            "both go with it"
        )
