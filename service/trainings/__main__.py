"""Runs one training at low priority and notes how it ended: `python -m service.trainings FOLDER COMMAND...`."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from service.trainings.folder import TrainingFolder
from service.trainings.low_priority import give_way
from service.trainings.record import State, TrainingRecord

LOOK_EVERY_S = 0.2
CHECKPOINT_S = 10.0  # for the trainer to end by itself
TOLD = "the service was told to end"


class Stop(Exception):
    """A signal has asked for the end."""


def main(argv: Sequence[str]) -> int:
    """FOLDER is that of the training, COMMAND what fits; 0 where its artifact is ready."""
    folder = TrainingFolder(Path(argv[0]))
    give_way()
    for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, _raise_stop)
    try:
        record = folder.read()
    except (OSError, ValueError) as error:
        print(f"{folder.path}: no training to run: {error}", file=sys.stderr)
        return 2
    state: State = "failed"
    reason: str | None = None
    try:
        with folder.log.open("ab") as log:
            trainer = subprocess.Popen(  # noqa: S603 (the command is the service's own)
                argv[1:], stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=False
            )
            try:
                reason = _wait(trainer, folder)
            finally:
                _end(trainer)
        state, reason = _outcome(folder, record, trainer.returncode, reason)
    except Stop:
        state, reason = "stopped", TOLD
    except OSError as error:
        reason = str(error)
    folder.ended(record, state, reason)
    return 0 if state == "ready" else 1


def _raise_stop(number: int, frame: object) -> None:
    for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)  # the end is under way
    raise Stop


def _wait(trainer: subprocess.Popen[bytes], folder: TrainingFolder) -> str | None:
    """Until the trainer has ended, or until somebody wants it to; then the reason."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            trainer.wait(LOOK_EVERY_S)
            return None
        if (reason := folder.stop_reason()) is not None:
            return reason


def _end(trainer: subprocess.Popen[bytes]) -> None:
    if trainer.poll() is None:
        trainer.terminate()
        try:
            trainer.wait(CHECKPOINT_S)
        except subprocess.TimeoutExpired:
            trainer.kill()
            trainer.wait()


def _outcome(
    folder: TrainingFolder, record: TrainingRecord, code: int, stopped: str | None
) -> tuple[State, str | None]:
    if stopped is not None:
        return "stopped", stopped
    if code == 0 and folder.has_artifact(record):
        return "ready", None
    errors = [line for line in folder.tail() if line.startswith("error: ")]
    if errors:
        return "failed", errors[-1].removeprefix("error: ")
    if code == 0:
        return "failed", "the trainer has ended without an artifact"
    if code == -signal.SIGKILL:
        return "failed", "the trainer was killed, perhaps for want of memory"
    return "failed", f"the trainer has ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}; see its log"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
