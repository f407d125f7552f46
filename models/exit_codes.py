"""What the exit codes of all commands mean, and how a program ends with one of them whatever happens."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum


class ExitCode(IntEnum):
    """The same in every command; docs/errors.md has the table."""

    DONE = 0
    NOT_IN_ORDER = 1  # what was looked at is not in order, or a part of what was asked for failed
    USAGE = 2  # a flag, a setting or a name
    START_FAILED = 3  # the service could not start; uvicorn ends with the same number
    INPUT = 4  # something that was named is not there or is not what it should be
    OUTPUT = 5  # something cannot be written, or is there already
    PORT = 6
    FAULT = 70  # of the program itself; EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 and SIGINT, as shells count


def guarded(program: str, run: Callable[[], int]) -> int:
    """The exit code of `run`. What it does not expect is shown with its traceback and ends in FAULT."""
    try:
        return int(run())
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # `| head`
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception:
        traceback.print_exc()
        sys.stderr.write(f"{program}: this is a fault of {program} itself; the lines above are for its makers\n")
        return ExitCode.FAULT


def os_words(error: OSError) -> str:
    """An operating system's error as `path: reason`, without its number."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else reason
