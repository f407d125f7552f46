"""Keeps on disk what is made of source weights, so that the next start and the next process need not make it again.

Each file is named after the weights that it was made of. It is written once and never changed, and one that cannot be
read is made anew. Memory-mapped tensors are shared by all processes that read the same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.atomic_file import replace_file, write_bytes

FOLDER = "made"
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Kept:
    """Files in `folder` whose names begin with `prefix`, which must tell all that their contents follow from.

    A folder that cannot be written costs the time of making again, and nothing else.
    """

    folder: Path
    prefix: str

    def data(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The bytes kept under that name, or those that `make` gives. A damaged file is told by its SHA-256."""
        file = self._file(name)
        try:
            found = file.read_bytes()
        except OSError:
            found = b""
        digest, data = found[:DIGEST_BYTES], found[DIGEST_BYTES:]
        if digest == hashlib.sha256(data).digest():
            return data
        data = make()
        try:
            write_bytes(file, hashlib.sha256(data).digest() + data)
        except OSError:
            return data
        return data

    def tensors(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors kept under that name, memory-mapped, or those that `make` gives. They must not be written to."""
        file = self._file(name)
        if (found := _mapped(file)) is not None:
            return found
        made = make()
        try:
            with replace_file(file) as beside:
                save_file(made, beside)
        except (OSError, SafetensorError):  # the latter tells of a disk that is full
            return made
        found = _mapped(file)
        return made if found is None else found

    def _file(self, name: str) -> Path:
        return self.folder / FOLDER / f"{self.prefix}-{name}"


def _mapped(file: Path) -> dict[str, Tensor] | None:
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError):
        return None
