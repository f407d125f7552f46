"""Where pins are kept, and what an answer says where they would not survive a restart."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.errors import ArtifactRefused
from service.products import pins

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


def test_an_answer_says_so_where_there_is_no_state_file(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)

    async def check() -> None:
        async with stock.opened() as registry:
            assert registry.status("screw").note is None  # nothing was decided
            status = await registry.activate("screw", "1")
            assert status.note == "this ends with the service, as there is no state file"
            assert (await registry.unpin("screw")).note is not None  # what a rollback returns to is kept as well

    asyncio.run(check())


def test_a_file_beside_the_artifacts_is_used_and_needs_no_asking(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)
    file = stock.root / ".mkd-state.json"

    async def check() -> None:
        async with stock.opened(state_file=file, state_required=False) as registry:
            assert (await registry.activate("screw", "1")).note is None
        async with stock.opened(state_file=file, state_required=False) as later:
            assert await stock.version_of(later) == "1"
            assert [status.name for status in later.products()] == ["screw"]

    asyncio.run(check())
    assert json.loads(file.read_text())["products"]["screw"]["pin"] == "1"


def test_a_read_only_folder_keeps_the_pin_in_memory_and_says_so(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)
    file = stock.root / ".mkd-state.json"

    def refuse(path: Path, text: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    async def check() -> None:
        async with stock.opened(state_file=file, state_required=False) as registry:
            monkeypatch.setattr(pins, "write_text", refuse)
            status = await registry.activate("screw", "1")
            await registry.look()
            assert (await stock.version_of(registry), status.version) == ("1", "1")
            assert status.note is not None
            assert "Read-only" in status.note
            monkeypatch.undo()
            assert (await registry.activate("screw", "2")).note is None

    asyncio.run(check())


def test_a_state_file_that_was_asked_for_must_be_writable(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)

    def refuse(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    async def check() -> None:
        async with stock.opened(state_file=stock.root / "pins.json") as registry:
            monkeypatch.setattr(pins, "write_text", refuse)
            with pytest.raises(ArtifactRefused, match=r"nothing has changed.*pins\.json"):
                await registry.activate("screw", "1")
            assert await stock.version_of(registry) == "2"

    asyncio.run(check())


def test_processes_share_a_pin_that_no_medium_takes(stock: Stock, tmp_path: Path) -> None:
    away = tmp_path / "unmounted/.mkd-state.json"
    spare = tmp_path / "spare.json"
    one, two = (pins.Pins(away, required=False, spare=spare) for _ in range(2))
    one.change("screw", lambda _: pins.PinState(pin="1"))
    two.read()
    assert two.of("screw").pin == "1"
    assert one.lost_because is not None
    assert not away.parent.exists()  # it may be a mount point


def test_outcomes_of_operators_calls_are_logged_failed_ones_too(stock: Stock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stock.write("screw/1")

    async def check() -> None:
        async with stock.opened() as registry:
            await registry.activate("screw", "1")
            stock.write("screw/2", seed=2)
            stock.spoil("screw/2")
            with pytest.raises(ArtifactRefused):
                await registry.activate("screw", "2")

    asyncio.run(check())
    told = {record.getMessage(): getattr(record, "mkd_fields", {}) for record in caplog.records}
    assert told["admin done"]["active"] == "1"
    assert (told["admin failed"]["version"], told["admin failed"]["code"]) == ("2", "artifact_refused")
