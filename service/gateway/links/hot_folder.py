"""A folder as trigger and source: each complete picture in it is judged once and moved to where its decision says.

    FOLDER/part.png  ->  FOLDER/work/part.png  ->  FOLDER/ok | review | ng | error/part.png + part.png.json

A file is complete when size and time have stood still for `settle_ms`. It is taken by renaming it to `work`, which only
one process can do. After a restart what lies in `work` was taken but has no answer that anybody has seen: it goes to
`error`, never to `ok`, and is not judged a second time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Literal

from pydantic import Field
from watchfiles import awatch

from service import logs
from service.gateway.answer_text import answer_members
from service.gateway.codes import MEANINGS, Code
from service.gateway.events import TriggerRequest
from service.gateway.picture import Picture
from service.gateway.runner import StationRunner
from service.gateway.schema import LineSchema
from service.gateway.sources.files import SUFFIXES

FOLDERS = {"OK": "ok", "REVIEW": "review", "NG": "ng", "REJECT": "error"}
TAKEN = "work"


class HotFolderSettings(LineSchema):
    """`[station.link] kind = "hot_folder"`."""

    kind: Literal["hot_folder"]
    folder: Path = Field(description="Folder that pictures are written to.")
    recipe: str = Field(description="Recipe of all its pictures.")
    settle_ms: float = Field(
        default=300, ge=10, le=60000, description="A file that stood still for so long is complete."
    )
    poll_ms: float = Field(
        default=200, ge=10, le=60000, description="Time between two looks; the folder may be remote."
    )
    watch: bool = Field(default=True, description="Look at once when the operating system tells of a change.")

    def claims(self) -> set[str]:
        return {f"folder {self.folder.absolute()}"}

    def link(self, runner: StationRunner) -> HotFolder:
        return HotFolder(self, runner)


class HotFolder:
    """Judges the files of one folder, one after another, in the order of their times."""

    def __init__(self, settings: HotFolderSettings, runner: StationRunner) -> None:
        self._settings = settings
        self._runner = runner
        self._folder = settings.folder
        self._seen: dict[str, tuple[int, int, float]] = {}  # size, time, and since when both stand still
        self._changed = asyncio.Event()
        self._number = 0

    async def run(self) -> None:
        watcher = asyncio.create_task(self._watch()) if self._settings.watch else None
        up = False
        try:
            while True:
                try:
                    if not up:
                        await asyncio.to_thread(self._prepare)
                        self._runner.found()
                        up = True
                    for name in await asyncio.to_thread(self._complete):
                        await self._judge(name)
                except OSError as error:
                    logs.event("folder fails", logging.ERROR, station=self._runner.name, detail=str(error))
                    self._runner.lost()
                    up = False
                await self._pause()
        finally:
            if watcher is not None:
                watcher.cancel()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_ms / 1000):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def _watch(self) -> None:
        """Only makes the next look come earlier; the looks decide."""
        try:
            async for _ in awatch(self._folder, recursive=False, step=20, debounce=50):
                self._changed.set()
        except Exception as error:
            logs.event("folder is only polled", logging.WARNING, station=self._runner.name, detail=repr(error))

    def _prepare(self) -> None:
        """Makes the folders, and moves what a run before has left unanswered to `error`."""
        for name in (TAKEN, *FOLDERS.values()):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        for file in (self._folder / TAKEN).iterdir():
            code = Code.TRIGGER_BEFORE_START
            text = {"station": self._runner.name, "file": file.name, "decision": "REJECT", "ok": False}
            self._put(file, "error", {**text, "code": int(code), "meaning": MEANINGS[code]})

    def _complete(self) -> list[str]:
        """Names of files that stand still, oldest first."""
        now, found, ready = time.monotonic(), {}, []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if Path(entry.name).suffix.lower() not in SUFFIXES or entry.name.startswith("."):
                    continue
                try:
                    if not entry.is_file(follow_symlinks=False):
                        continue
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                size, at, since = self._seen.get(entry.name, (-1, -1, now))
                if (size, at) != (stat.st_size, stat.st_mtime_ns):
                    since = now
                found[entry.name] = (stat.st_size, stat.st_mtime_ns, since)
                if stat.st_size and now - since >= self._settings.settle_ms / 1000:
                    ready.append((stat.st_mtime_ns, entry.name))
        self._seen = found
        return [name for _, name in sorted(ready)]

    async def _judge(self, name: str) -> None:
        taken = self._folder / TAKEN / self._free(name)
        try:
            await asyncio.to_thread(os.rename, self._folder / name, taken)
        except FileNotFoundError:
            return
        data = await asyncio.to_thread(taken.read_bytes)
        self._number = self._number % 0xFFFFFFFF + 1
        picture = Picture(data, SUFFIXES[taken.suffix.lower()], self._number, time.monotonic(), name)
        request = TriggerRequest(self._number, self._settings.recipe, name[:128])
        answer = self._runner.taken(await self._runner.trigger(request, picture))
        folder = FOLDERS[answer.decision.value]
        members = {**answer_members(self._runner.name, answer), "file": name}
        await asyncio.to_thread(self._put, taken, folder, members)
        self._runner.metrics.count("mkd_line_files_total", station=self._runner.name, folder=folder)

    def _free(self, name: str) -> str:
        """A name that no folder has yet: a second picture of one name never replaces the first."""
        folders = [self._folder / folder for folder in (TAKEN, *FOLDERS.values())]
        stem, suffix, number = Path(name).stem, Path(name).suffix, 1
        while any((folder / name).exists() for folder in folders):
            number += 1
            name = f"{stem}.{number}{suffix}"
        return name

    def _put(self, file: Path, folder: str, members: dict[str, object]) -> None:
        """The JSON first, then the picture: a picture in `ok` always has its JSON beside it."""
        target = self._folder / folder / file.name
        text = target.with_name(f"{target.name}.json")
        part = text.with_name(f".{text.name}.part")
        part.write_text(json.dumps(members, indent=1) + "\n", encoding="utf-8")
        os.replace(part, text)
        os.rename(file, target)
