"""Recurring defects through the client, with the service's own store behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from mkdserve.client import AsyncClient, InvalidRequest
from tests.service.rest.conftest import FakeEngine, OpenHouse, Picture
from tests.service.rest.test_defect_group_routes import BOX, house_with


def test_groups_are_listed_by_time_and_named(open_house: OpenHouse, picture: Picture, tmp_path: Path) -> None:
    house = house_with(open_house, FakeEngine(), picture, tmp_path)

    async def use() -> None:
        async with AsyncClient(transport=httpx.ASGITransport(house.app)) as client:
            found = await client.defect_groups("screw")
            (group,) = found.groups
            assert (group.parts, group.name, found.inspected, found.work.waiting) == (2, None, 2, 0)
            assert [(row.id, row.box) for row in group.members] == [(2, BOX), (1, BOX)]
            await client.name_defect_group("screw", group.id, "Kratzer")
            (named,) = (await client.defect_groups("screw", since=datetime(2020, 1, 1, tzinfo=UTC))).groups
            assert (named.name, named.named_by) == ("Kratzer", "anonymous")
            (none,) = (await client.defect_groups("screw", since=datetime(2999, 1, 1, tzinfo=UTC))).groups
            assert (none.parts, none.members) == (0, ())
            with pytest.raises(InvalidRequest, match="name"):
                await client.name_defect_group("screw", group.id, "a/b")
            with pytest.raises(ValueError, match="time zone"):
                await client.defect_groups("screw", since=datetime(2020, 1, 1))

    house.run(use())
