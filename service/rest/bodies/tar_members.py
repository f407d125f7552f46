"""Reads the members of a tar archive while it arrives: headers by Python's tarfile, data only where it is asked for.

No name in an archive is ever used as a path: nothing is written anywhere. Directories are passed over.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from service.errors import MalformedRequest
from service.rest.bodies.body_stream import BodyEndedError, BodyStream
from service.rest.bodies.received import clean_folder, clean_name

TAR = "application/x-tar"
BLOCK = tarfile.BLOCKSIZE
MOST_EXTENSION_BYTES = 64 << 10  # of the blocks that give the next member a longer name
FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
EXTENSIONS = (*PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class TarMember(NamedTuple):
    """`name` without folders, fit for answers and logs; `is_file` is false for links, devices and the like.

    `folder` is the last one in front of the name.
    """

    name: str | None
    size: int
    is_file: bool
    folder: str | None = None


class TarMembers:
    """Ask for the `next_member`, then `read` or `pass_over` its data, and so on. All raise MalformedRequest."""

    def __init__(self, body: BodyStream) -> None:
        self._body = body

    async def next_member(self) -> TarMember | None:
        """The next one that is no directory; None behind the last, where the archive says that it ends."""
        name = ""
        while True:
            block = await self._read(BLOCK, "in front of its end mark: members may be missing")
            if block == bytes(BLOCK):
                return None
            header = _header(block)
            if header.type in EXTENSIONS:
                name = _name_in(header.type, await self._extension(header.size)) or name
                continue
            if header.type == tarfile.GNUTYPE_SPARSE:
                raise MalformedRequest("tar: sparse files are not taken; write the archive without --sparse")
            if not header.isdir():
                named = name or header.name
                return TarMember(clean_name(named), header.size, header.type in FILES, clean_folder(named))
            await self._skip(_padded(header.size))
            name = ""

    async def read(self, member: TarMember) -> bytes:
        """Its data."""
        data = await self._read(member.size, f"inside {member.name!r}")
        await self._skip(_padded(member.size) - member.size)
        return data

    async def pass_over(self, member: TarMember) -> None:
        """Go on behind its data, of which nothing is kept."""
        await self._skip(_padded(member.size))

    async def _extension(self, size: int) -> bytes:
        if size > MOST_EXTENSION_BYTES:
            raise MalformedRequest(f"tar: a name or its like has {size:,} bytes, {MOST_EXTENSION_BYTES:,} at most")
        return (await self._read(_padded(size), "inside a header"))[:size]

    async def _read(self, size: int, where: str) -> bytes:
        try:
            return await self._body.read(size)
        except BodyEndedError:
            raise MalformedRequest(f"the tar ends early, {where}") from None

    async def _skip(self, size: int) -> None:
        try:
            await self._body.skip(size)
        except BodyEndedError:
            raise MalformedRequest("the tar ends early, inside a member") from None


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        packed = ", and compressed ones are not taken" if block[:2] == b"\x1f\x8b" or block[:3] == b"BZh" else ""
        raise MalformedRequest(f"this is no tar archive where a header should be ({error}){packed}") from None
    if header.size < 0:
        raise MalformedRequest("tar: a member has a size below 0")
    return header


def _name_in(kind: bytes, data: bytes) -> str:
    """The name that an extension gives the next member; "" where it gives none."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return data.rstrip(b"\0").decode("utf-8", "replace")
    if kind not in PAX:
        return ""
    records = dict(_pax_records(data))
    if b"size" in records:
        raise MalformedRequest("tar: a size in a pax header is that of a file over 8 GiB, which is no picture")
    return records.get(b"path", b"").decode("utf-8", "replace")


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """`LENGTH KEY=VALUE` with a line feed, LENGTH of the whole record (POSIX pax)."""
    while data:
        digits, _, rest = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        key, equals, value = rest[: max(0, length - len(digits) - 1)].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise MalformedRequest("tar: a pax header is not made of records")
        yield key, value[:-1]
        data = data[length:]


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
