"""What operators decided about products, in a small JSON file: survives restarts, and several processes agree on it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class Decision(BaseModel):
    """One product: `pin` is the version to serve whatever else arrives, `previous` the one a rollback returns to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pin: str | None = None
    previous: str | None = None
    unloaded: bool = False


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    products: dict[str, Decision] = {}


class Pins:
    """The decisions of all products; in memory only where `file` is None. Used by one thread of each process."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._state = _State()
        self.read()

    def of(self, product: str) -> Decision:
        return self._state.products.get(product, Decision())

    def read(self) -> None:
        """Take over what other processes wrote. Raises ValueError where the file is there and cannot be understood."""
        if self._file is None:
            return
        try:
            self._state = _State.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            self._state = _State()
        except ValidationError as error:
            raise ValueError(f"{self._file}: not a state file of this service: {error.errors()[0]['msg']}") from error

    def change(self, product: str, change: Callable[[Decision], Decision]) -> None:
        """Change one product's decision, on the file's newest state, under a lock that the other processes respect."""
        with self._locked():
            self.read()
            products = dict(self._state.products)
            products[product] = change(products.get(product, Decision()))
            self._state = _State(products={name: each for name, each in products.items() if each != Decision()})
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        handle, beside = tempfile.mkstemp(prefix=f".{self._file.name}.", dir=self._file.parent)
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(self._state.model_dump_json(indent=2) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, self._file)
        except OSError:
            Path(beside).unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name(f".{self._file.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
