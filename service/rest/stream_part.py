"""Gathers the files of one part of a stream, one for each light, until all are there or a file of another part comes.

A stream is read once, and its sender may wait for a line before it sends the next part. So a part begins with the first
file that is named by a light, and is whole with the last of its lights; until then all that follows in the same folder
is of it, whatever it is called. Every other file is a part of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from models.imaging.errors import ImageError
from models.imaging.stack import MOST_FILES
from models.sizes import size_words
from service.engine.admission import Permit
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.tar_members import TarMember


@dataclass
class StreamPart:
    """The files of one part that have come so far; `error` is the first that one of them had.

    `missing` are the lights that have not come yet, without regard to case.
    """

    index: int
    folder: str | None
    most_bytes: int
    missing: set[str]
    permit: Permit | None = None
    files: list[EncodedImage] = field(default_factory=list)
    error: ImageError | None = None
    size: int = 0
    count: int = 0

    def takes(self, member: TarMember) -> bool:
        """Whether the next member is of this part."""
        return member.folder == self.folder and self.count <= MOST_FILES

    @property
    def is_whole(self) -> bool:
        """Whether all lights have come."""
        return not self.missing

    def announce(self, member: TarMember) -> None:
        """Count one more file. Raises ImageError where all of them have too many bytes."""
        self.size += member.size
        self.count += 1
        self.missing.discard(PurePosixPath(member.name or "").stem.casefold())
        if self.size > self.most_bytes:
            most = size_words(self.most_bytes)
            raise ImageError(
                "image_too_many_bytes", f"the part's files have {size_words(self.size)}; at most {most} are taken"
            )

    def fail(self, error: ImageError) -> None:
        """Remember the first error; what has been read is of no use any more."""
        self.error = self.error or error
        self.files.clear()
