"""The images of a folder or a Parquet file by row number, each read only when its turn comes.

Both kinds can be pickled, so that workers on other nodes read for themselves: they need the files at the same path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from models.image_folder import list_images, passed_over_words
from models.imaging.channels import Groups
from models.imaging.decode import ImageError
from models.names import IMAGE_SUFFIXES
from service.bulk.errors import BulkError
from service.inspection.encoded_image import EncodedImage
from service.inspection.parts import together

PATH, BYTES = "path", "image"
ROWS_AT_ONCE = 16  # of a Parquet file with images inside: some MB each


@dataclass(frozen=True)
class BulkImage:
    """One image of the input: its row, what it is called in the results, and how its bytes are had (by any thread)."""

    row: int
    path: str
    load: Callable[[], EncodedImage]


class Images(Protocol):
    """The images of one input, numbered from 0. `fingerprint` changes when the input does."""

    @property
    def count(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def passed_over(self) -> list[str]:
        """What of the input is no row, in words for a person."""
        ...

    def read(self, start: int, stop: int) -> Iterator[BulkImage]:
        """The images of rows start to stop - 1, in order."""


class FolderImages:
    """Every image file under a folder, by name; see models.image_folder for what is passed over.

    For a product with `groups` of channels the files in a folder with a file that is named by one of them are one
    image, which has the folder's name.
    """

    def __init__(self, folder: Path, groups: Groups = ()) -> None:
        self._folder = folder
        contents = list_images(folder, subfolders=True)
        self._rows = _parts(contents.images, groups)
        self.passed_over = [_text(line) for line in passed_over_words(contents.passed_over)]
        if not self._rows:
            passed = "".join(f"; {line}" for line in self.passed_over)
            raise BulkError(f"no image under {folder}: files end in {', '.join(sorted(IMAGE_SUFFIXES))}{passed}")
        self.fingerprint = _digest(_facts(folder / file) for file in contents.images)

    @property
    def count(self) -> int:
        return len(self._rows)

    def read(self, start: int, stop: int) -> Iterator[BulkImage]:
        for row in range(start, min(stop, self.count)):
            name, files = self._rows[row]
            yield BulkImage(row, _text(name), partial(from_files, [self._folder / file for file in files]))


class ParquetImages:
    """The rows of a Parquet file: column `image` (binary: the file's bytes), else column `path`.

    Paths are absolute or relative to the Parquet file's folder. Where both are there, `path` is the name alone. The
    fingerprint is the Parquet file's: files that it names are not looked at before their turn.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            with pq.ParquetFile(file) as opened:
                schema, self.count = opened.schema_arrow, opened.metadata.num_rows
                sizes = [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
        except (OSError, pa.ArrowException) as error:
            raise BulkError(f"{file} cannot be read as Parquet: {error}") from error
        self._groups = sizes
        self.passed_over: list[str] = []
        self._columns = [name for name in (PATH, BYTES) if name in schema.names]
        wrong = [name for name in self._columns if not _fits(schema.field(name).type, name)]
        if not self._columns or wrong or not self.count:
            raise BulkError(
                f"{file}: needs rows with a column {PATH} (text) or {BYTES} (binary); it has {schema.names}"
            )
        self.fingerprint = _digest([_facts(file)])

    def read(self, start: int, stop: int) -> Iterator[BulkImage]:
        groups, row = self._groups_of(start, stop)
        with pq.ParquetFile(self._file) as opened:
            for batch in opened.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=self._columns):
                if row + batch.num_rows > start:
                    for number, members in enumerate(batch.to_pylist(), row):
                        if start <= number < stop:
                            yield self._image(number, members)
                row += batch.num_rows
                if row >= stop:
                    return

    def _groups_of(self, start: int, stop: int) -> tuple[list[int], int]:
        """The row groups that hold the rows, and the number of the first one's first row."""
        groups: list[int] = []
        first, begin = 0, 0
        for number, size in enumerate(self._groups):
            if begin < stop and begin + size > start:
                first = first if groups else begin
                groups.append(number)
            begin += size
        return groups, first

    def _image(self, row: int, members: dict[str, object]) -> BulkImage:
        path, data = members.get(PATH), members.get(BYTES)
        if BYTES in self._columns:
            received = EncodedImage(data if isinstance(data, bytes) else b"")
            return BulkImage(row, str(path) if path is not None else str(row), lambda: received)
        file = self._file.parent / str(path or "")
        if file.is_dir():  # a part with a file for each light
            return BulkImage(row, str(path), partial(from_folder, file))
        return BulkImage(row, str(path or ""), partial(from_file, file))


def images_of(source: Path, groups: Groups = ()) -> Images:
    """The images of a folder or a Parquet file, for a product with these groups of channels. Raises BulkError."""
    if source.is_dir():
        return FolderImages(source, groups)
    if source.is_file():
        return ParquetImages(source)
    raise BulkError(f"{source} is neither a folder of images nor a Parquet file")


def _parts(files: Sequence[str], groups: Groups) -> list[tuple[str, list[str]]]:
    """Each row's name and files: one file, or all of a folder that holds a light."""
    lights = {group.name.casefold() for group in groups}
    folders = {os.path.dirname(file) for file in files if Path(file).stem.casefold() in lights}
    found: dict[str, list[str]] = {}
    for file in files:
        folder = os.path.dirname(file)
        found.setdefault((folder or ".") if folder in folders else file, []).append(file)
    return list(found.items())


def from_folder(folder: Path) -> EncodedImage:
    """The stack of a folder's image files."""
    files = [folder / name for name in list_images(folder, subfolders=False).images]
    if not files:
        return EncodedImage(b"", error=ImageError("image_unreadable", "the folder holds no image"))
    return from_files(files)


def from_files(files: Sequence[Path]) -> EncodedImage:
    """The bytes of a part's only file, or the stack of all its files; the first error where one cannot be read."""
    return together([replace(from_file(file), name=file.name) for file in files])


def from_file(file: Path) -> EncodedImage:
    """The file's bytes, or the image's own error: one file that cannot be read is no reason to stop."""
    try:
        return EncodedImage(file.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return EncodedImage(b"", error=ImageError("image_unreadable", f"the file cannot be read: {reason}"))
    except MemoryError:
        return EncodedImage(b"", error=ImageError("image_too_many_bytes", "the file does not fit into memory"))


def _facts(file: Path) -> str:
    try:
        stat = file.stat()
    except OSError as error:  # a link that leads nowhere, or a file that has gone: its row will say so
        return f"{file.name} {type(error).__name__}"
    return f"{file.name} {stat.st_size} {stat.st_mtime_ns}"


def _digest(facts: Iterator[str] | list[str]) -> str:
    found = hashlib.sha256()
    for fact in facts:
        found.update(os.fsencode(fact) + b"\n")
    return found.hexdigest()


def _text(path: str) -> str:
    """A path as text for the results: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def _fits(kind: pa.DataType, column: str) -> bool:
    if column == BYTES:
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
