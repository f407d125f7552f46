"""Pictures from a list of files in turn: for simulation and for a first try without a camera."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Literal

from pydantic import Field

from service.gateway.codes import Code
from service.gateway.events import Acquire
from service.gateway.picture import Picture, PictureError
from service.gateway.schema import LineSchema

SUFFIXES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".bmp": "image/bmp", ".tif": "image/tiff",
            ".tiff": "image/tiff", ".webp": "image/webp"}  # fmt: skip


class FilesSettings(LineSchema):
    """`[station.source] kind = "files"`."""

    kind: Literal["files"]
    folder: Path = Field(description="Folder of pictures, taken in the order of their names, again and again.")
    delay_ms: float = Field(default=0, ge=0, le=60000, description="Time that taking a picture takes, milliseconds.")

    def make(self) -> FilesSource:
        return FilesSource(self)


class FilesSource:
    """One picture a trigger."""

    def __init__(self, settings: FilesSettings) -> None:
        self._settings = settings
        self._number = 0

    async def open(self) -> None:
        self._files()

    async def acquire(self, order: Acquire) -> Picture:
        files = self._files()
        file = files[self._number % len(files)]
        self._number += 1
        await asyncio.sleep(self._settings.delay_ms / 1000)
        try:
            data = await asyncio.to_thread(file.read_bytes)
        except OSError as error:
            raise PictureError(Code.PICTURE_UNREADABLE, f"{file.name}: {error}") from error
        return Picture(data, SUFFIXES[file.suffix.lower()], self._number, time.monotonic(), file.name)

    async def check(self) -> None:
        self._files()

    async def close(self) -> None:
        """Nothing is open."""

    def _files(self) -> list[Path]:
        try:
            found = sorted(file for file in self._settings.folder.iterdir() if file.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise PictureError(Code.CAMERA_LOST, f"the folder cannot be read: {error}") from error
        if not found:
            raise PictureError(Code.CAMERA_LOST, f"no picture in {self._settings.folder}")
        return found
