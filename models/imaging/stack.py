"""Holds the files of one part, one for each light, as one run of bytes, so that a part travels as one picture does.

The form is a plain tar: what is kept of a part opens with every tar. Its names say which file is which light.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from models.imaging.errors import ImageError, damaged, too_large, truncated

BLOCK = tarfile.BLOCKSIZE
MAGIC_AT, MAGIC = 257, b"ustar"
MOST_MEMBERS = 64  # headers that are walked, folders and extensions among them
MOST_FILES = 16
NAME_LENGTH = 80
FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
SKIPPED = (tarfile.DIRTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE)


class StackFile(NamedTuple):
    """One file of a part: its name without folders, and its bytes."""

    name: str
    data: bytes

    @property
    def light(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem


def is_stack(data: bytes) -> bool:
    """Whether the bytes are a tar."""
    return data[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC


def as_stack(files: Iterable[StackFile]) -> bytes:
    """The files in their order -> a tar; the same files give the same bytes."""
    found = bytearray()
    for file in files:
        header = tarfile.TarInfo(file.name.encode("ascii", "replace").decode()[-NAME_LENGTH:])
        header.size = len(file.data)
        found += header.tobuf(tarfile.USTAR_FORMAT)
        found += file.data
        found += bytes(-len(file.data) % BLOCK)
    return bytes(found + bytes(2 * BLOCK))


def stack_files(data: bytes) -> list[StackFile]:
    """The files of a tar in order, without folders and hidden ones. Raises ImageError for what is no whole tar."""
    found: list[StackFile] = []
    at = 0
    for _ in range(MOST_MEMBERS + 1):
        block = data[at : at + BLOCK]
        if block == bytes(BLOCK):
            return found
        header = _header(block)
        end = at + BLOCK + header.size
        if header.size < 0 or header.type not in (*FILES, *SKIPPED):
            raise damaged(f"the tar has a member {header.name[:64]!r} that is neither file nor folder")
        if end > len(data):
            raise truncated(f"the tar ends inside {header.name[:64]!r}")
        name = header.name.rsplit("/", 1)[-1]
        if header.type in FILES and not name.startswith("."):
            found.append(StackFile(name, data[at + BLOCK : end]))
        if len(found) > MOST_FILES:
            raise ImageError("image_channels_unexpected", f"the tar holds more than {MOST_FILES} files")
        at = end + -end % BLOCK
    raise too_large(f"the tar has more than {MOST_MEMBERS} members")


def _header(block: bytes) -> tarfile.TarInfo:
    if len(block) < BLOCK:
        raise truncated("the tar ends in front of its end mark")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        raise damaged(f"the tar has no header where one should be ({error})") from None
