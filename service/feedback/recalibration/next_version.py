"""The name of a product's next version, which people count as higher than all that there are."""

from __future__ import annotations

import re
from collections.abc import Collection

from natsort import natsorted

from models.names import is_name

_NUMBER = re.compile(r"(.*?)([0-9]{1,18})")


def next_version(taken: Collection[str]) -> str:
    """The highest with its last number raised by one (3 after 2, v10 after v9), else with -1; 1 where there is none."""
    highest = natsorted(taken)[-1] if taken else "0"
    while True:
        found = _NUMBER.fullmatch(highest)
        highest = f"{found[1]}{int(found[2]) + 1:0{len(found[2])}}" if found else f"{highest}-1"
        if highest not in taken and is_name(highest):
            return highest
