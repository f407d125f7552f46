"""The folder of one training: its record, its pictures, its log, its artifact."""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.atomic_file import write_text
from service.trainings.record import State, TrainingRecord

TAIL_BYTES = 16 << 10
TAIL_LINES = 40
PROGRESS = re.compile(r"(?P<stage>[^:\n]{1,80}): (?P<done>\d+) of (?P<total>\d+)\b")
_NOT_TEXT = re.compile(r"[^\t\x20-\x7e\xa0-\U0010ffff]")


@dataclass(frozen=True)
class Progress:
    """So much is done of the stage that the trainer is in."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class TrainingFolder:
    """Paths and contents; `path` is ROOT/NAME/ID."""

    path: Path

    @property
    def pictures(self) -> Path:
        """The pictures that are trained on."""
        return self.path / "pictures"

    @property
    def log(self) -> Path:
        """What the trainer says."""
        return self.path / "log.txt"

    @property
    def out(self) -> Path:
        """The trainer's artifact folder."""
        return self.path / "out"

    def artifact(self, record: TrainingRecord) -> Path:
        """Where the artifact lies once it is whole: the trainer writes it in one step."""
        return self.out / record.product / record.version

    def read(self) -> TrainingRecord:
        """The record. Raises OSError where there is none, ValueError where it cannot be understood."""
        return TrainingRecord.model_validate_json(self._record.read_bytes())

    def write(self, record: TrainingRecord) -> None:
        """Raises OSError; the record before stays as it was then."""
        write_text(self._record, record.model_dump_json(indent=1) + "\n")

    def has_artifact(self, record: TrainingRecord) -> bool:
        """Whether there is a whole artifact."""
        return self.artifact(record).is_dir()

    def ended(self, record: TrainingRecord, state: State, reason: str | None) -> TrainingRecord:
        """Note the end, and make room: only a training that is ready needs its pictures and its artifact.

        Room is made first, as the end of a training for which the disk was too small has to be noted as well.
        """
        if state != "ready":
            shutil.rmtree(self.out, ignore_errors=True)
            shutil.rmtree(self.pictures, ignore_errors=True)
        done = record.model_copy(update={"state": state, "reason": reason, "ended_at": datetime.now(UTC)})
        self.write(done)
        return done

    def remove(self) -> None:
        """Take it away, and that of the product where it was the last."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def ask_to_stop(self, reason: str) -> None:
        """Tell the process that trains, whichever server process it belongs to."""
        write_text(self._stop, reason)

    def stop_reason(self) -> str | None:
        """Why it shall end; None where nobody has asked for that."""
        try:
            return self._stop.read_text(encoding="utf-8")
        except OSError:
            return None

    def tail(self) -> list[str]:
        """The last lines of the log, fit to be shown."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
                text = file.read(TAIL_BYTES).decode(errors="replace")
        except OSError:
            return []
        return [_NOT_TEXT.sub("", line) for line in text.splitlines()[-TAIL_LINES:]]

    @property
    def _record(self) -> Path:
        return self.path / "record.json"

    @property
    def _stop(self) -> Path:
        return self.path / "stop"


def progress_of(lines: list[str]) -> Progress | None:
    """The last line of a log that says how far a stage is, as `fit: 12 of 40 ...`; None where there is none."""
    for line in reversed(lines):
        if (found := PROGRESS.match(line)) is not None:
            return Progress(found["stage"], int(found["done"]), int(found["total"]))
    return None
