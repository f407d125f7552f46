"""Keeps what operators decided about products in a small JSON file that survives restarts and that processes share.

Each change counts the file's generation up. What is in memory stays where the file is away or older: a folder that is
unmounted for a moment must not undo a rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from models.atomic_file import write_text

LOCK_S = 10.0
NO_FILE = "there is no state file"


class PinState(BaseModel):
    """One product: `pin` is the version to serve whatever else arrives, `previous` the one a rollback returns to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pin: str | None = None
    previous: str | None = None
    unloaded: bool = False


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    generation: int = 0
    products: dict[str, PinState] = {}


class Pins:
    """The decisions of all products. Used by one thread of each process.

    `file` is None for memory only. Where it is not `required` (the one beside the artifacts, on a medium that may be
    read-only), a change that it cannot take is kept in memory, and in `spare` for the other processes of this service;
    `lost_because` then says why it ends with them.
    """

    def __init__(self, file: Path | None, *, required: bool = True, spare: Path | None = None) -> None:
        self.lost_because: str | None = NO_FILE if file is None else None
        self._file = file
        self._required = required
        self._spare = spare
        self._state = _State()
        self.read()

    def of(self, product: str) -> PinState:
        return self._state.products.get(product, PinState())

    def read(self) -> None:
        """Take over what other processes wrote. Raises OSError, and ValueError where a file cannot be understood."""
        for file in (self._file, self._spare):
            found = _read(file) if file is not None else None
            if found is not None and found.generation >= self._state.generation:
                self._state = found

    def change(self, product: str, change: Callable[[PinState], PinState]) -> None:
        """Change one product's decision, on the newest state, under a lock that the other processes respect.

        Raises OSError and ValueError where the file is required and cannot be written; nothing has changed then.
        """
        with self._locked():
            self.read()
            products = dict(self._state.products)
            products[product] = change(products.get(product, PinState()))
            self._write(
                _State(
                    generation=self._state.generation + 1,
                    products={name: each for name, each in products.items() if each != PinState()},
                )
            )

    def _write(self, state: _State) -> None:
        text = state.model_dump_json(indent=2) + "\n"
        if self._file is not None:
            try:
                self._may_write_below(self._file.parent)
                write_text(self._file, text)
                self.lost_because = None
            except OSError as error:
                if self._required:
                    raise
                self.lost_because = f"the state file cannot be written: {error}"
        if self._spare is not None and self.lost_because is not None:
            write_text(self._spare, text)
        self._state = state

    def _may_write_below(self, folder: Path) -> None:
        """The folder of artifacts is not made for the sake of the state file: it may be an unmounted one."""
        if self._required:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with ExitStack() as locks:
            for file in (self._file, self._spare):
                if file is None:
                    continue
                try:
                    self._may_write_below(file.parent)
                    locks.enter_context(FileLock(file.with_name(f".{file.name}.lock"), timeout=LOCK_S))
                except OSError:
                    if self._required:
                        raise
            yield


def _read(file: Path) -> _State | None:
    try:
        return _State.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ValueError(f"{file}: not a state file of this service: {error.errors()[0]['msg']}") from error
