"""A painted defect is in one group of a part, the groups in turn, and nothing else of the part changes."""

from __future__ import annotations

import numpy as np

from models.imaging.channels import ChannelGroup
from trainer.painted.part_set import painted_parts, plain_on_parts

GROUPS = (ChannelGroup(name="rgb", channels=3), ChannelGroup(name="left"), ChannelGroup(name="right"))
CHANNELS = ({0, 1, 2}, {3}, {4})


def parts() -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    random = np.random.default_rng(3)
    return [random.integers(90, 130, (64, 64, 5)).astype(np.uint8) for _ in range(4)]


def test_the_groups_take_turns_and_the_others_stay_as_they_are() -> None:
    good = parts()
    found = list(painted_parts(good, GROUPS, 2, seed=1))
    assert len(found) == 8
    for number, part in enumerate(found):
        before = good[number // 2]
        changed = part.pixels != before
        assert {int(channel) for channel in np.flatnonzero(changed.any(axis=(0, 1)))} <= CHANNELS[number // 2 % 3]
        assert changed.any(axis=2)[part.defect.mask].all()
    assert [part.pixels.shape for part in plain_on_parts(good, GROUPS, seed=1)] == [(64, 64, 5)] * 4


def test_without_groups_pictures_are_painted_as_they_are() -> None:
    (part,) = plain_on_parts([parts()[0][:, :, :3]], (), seed=1)
    assert np.array_equal(part.pixels, part.defect.pixels)
