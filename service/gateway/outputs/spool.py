"""Messages on the disk until they are delivered: one SQLite file for each output, which survives a kill -9.

The file is in WAL mode: a message is kept by the operating system once `put` returns; only a loss of power within the
last moments can lose it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

SCHEMA = "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)"


class SpoolError(Exception):
    """The spool cannot be written, most likely because the disk is full."""


class Message(NamedTuple):
    """A message that waits. Ids rise in the order of `put` and are never used twice."""

    id: int
    body: bytes


class Spool:
    """A queue of at most `limit` messages; with more, the oldest are dropped and counted by `put`."""

    def __init__(self, file: Path, limit: int) -> None:
        self._limit = limit
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=1)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"{file}: {error}") from error

    def put(self, body: bytes) -> int:
        """Keeps a message; how many older ones had to be dropped for it. Raises SpoolError."""
        try:
            self._database.execute("INSERT INTO messages (body) VALUES (?)", (body,))
            over = len(self) - self._limit
            if over > 0:
                oldest = "SELECT id FROM messages ORDER BY id LIMIT ?"
                self._database.execute(f"DELETE FROM messages WHERE id IN ({oldest})", (over,))  # noqa: S608
            return max(0, over)
        except sqlite3.Error as error:
            raise SpoolError(str(error)) from error

    def after(self, last: int = 0) -> Message | None:
        """The oldest message with an id above `last`."""
        query = "SELECT id, body FROM messages WHERE id > ? ORDER BY id LIMIT 1"
        row = self._database.execute(query, (last,)).fetchone()
        return Message(*row) if row is not None else None

    def remove(self, number: int) -> bool:
        """The message has been delivered; whether it was there."""
        try:
            return self._database.execute("DELETE FROM messages WHERE id = ?", (number,)).rowcount > 0
        except sqlite3.Error as error:
            raise SpoolError(str(error)) from error

    def probe(self) -> None:
        """Raises SpoolError where nothing can be written now."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT INTO messages (body) VALUES (zeroblob(65536))")
            self._database.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise SpoolError(str(error)) from error

    def __len__(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM messages").fetchone()[0]
        return count

    def close(self) -> None:
        self._database.close()
