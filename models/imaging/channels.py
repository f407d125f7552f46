"""Names the groups of channels that the pictures of a product have: each group is seen as a picture of its own.

A light direction of a grey camera is a group of one channel, shown to the source as three equal ones; a colour picture
is a group of three. All groups of a part have one size, and their channels lie one behind the other in one array.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.imaging.samples import Pixels

GROUP_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"
MOST_CHANNELS = 16  # of all groups together: each group costs a source pass


class ChannelGroup(BaseModel):
    """One group: its name, which is that of its file, and its channels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=GROUP_NAME)
    channels: Literal[1, 3] = 1

    def __str__(self) -> str:
        """As `group_of` reads it."""
        return self.name if self.channels == 1 else f"{self.name}:{self.channels}"


Groups = tuple[ChannelGroup, ...]


def group_of(text: str) -> ChannelGroup:
    """NAME, or NAME:3 for a group of three channels. Raises ValueError."""
    name, _, channels = text.strip().partition(":")
    if not re.fullmatch(GROUP_NAME, name) or channels not in ("", "1", "3"):
        raise ValueError(
            f"{text!r} is no group of channels: give NAME or NAME:3, a name of letters, digits, - and _, up to 32"
        )
    return ChannelGroup(name=name, channels=3 if channels == "3" else 1)


def check_groups(groups: Sequence[ChannelGroup]) -> None:
    """Raises ValueError where groups share a name, are one alone, or have more channels than are taken."""
    names = [group.name.casefold() for group in groups]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two groups of channels are called {twice[0]!r}; each needs a name of its own")
    if len(groups) == 1:
        raise ValueError("one group of channels is a plain picture: name two or more, or none")
    if channel_count(groups) > MOST_CHANNELS:
        raise ValueError(f"{channel_count(groups)} channels in all groups; {MOST_CHANNELS} at most are taken")


def channel_count(groups: Sequence[ChannelGroup]) -> int:
    """Channels of all groups together."""
    return sum(group.channels for group in groups)


def group_words(groups: Sequence[ChannelGroup]) -> str:
    """Which groups there are, for a person."""
    return ", ".join(group.name if group.channels == 1 else f"{group.name} (3 channels)" for group in groups)


def place_of(groups: Sequence[ChannelGroup], number: int) -> slice:
    """Where the channels of that group lie in the array of a part."""
    first = channel_count(groups[:number])
    return slice(first, first + groups[number].channels)


def group_picture(pixels: Pixels, groups: Sequence[ChannelGroup], number: int) -> Pixels:
    """A part (H, W, N) -> the picture (H, W, 3) of that group; the part itself where there are no groups."""
    if not groups:
        return pixels
    channels = pixels[:, :, place_of(groups, number)]
    three: Any = np.repeat(channels, 3, axis=2) if channels.shape[2] == 1 else np.ascontiguousarray(channels)
    return cast(Pixels, three)


def group_pictures(pixels: Pixels, groups: Sequence[ChannelGroup]) -> Iterator[Pixels]:
    """The picture (H, W, 3) of each group, in order; the part itself where there are no groups."""
    for number in range(max(1, len(groups))):
        yield group_picture(pixels, groups, number)


def changed_groups(pixels: Pixels, groups: Sequence[ChannelGroup], change: Callable[[Pixels], Pixels]) -> Pixels:
    """A part with the picture of each group after the same change, which leaves its size; for what takes pictures."""
    if not groups:
        return change(pixels)
    found = np.empty_like(pixels)
    for number, picture in enumerate(group_pictures(pixels, groups)):
        put_group(found, groups, number, change(picture))
    return found


def put_group(pixels: Pixels, groups: Sequence[ChannelGroup], number: int, picture: Pixels) -> None:
    """Writes the picture (H, W, 3) of a group into a part (H, W, N); of three equal channels one is kept."""
    if groups:
        pixels[:, :, place_of(groups, number)] = picture[:, :, : groups[number].channels]
    else:
        pixels[:] = picture


def number_of(groups: Sequence[ChannelGroup], name: str | None) -> int:
    """The place of the group of that name; 0 for None, and for a name that no group has."""
    return next((number for number, group in enumerate(groups) if group.name == name), 0)
