"""Starts `mkd-score`, or says in one sentence why it cannot start."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from models.exit_codes import ExitCode, guarded
from service.machine import openmp


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code (models.exit_codes), with the reason on standard error where it is not 0."""
    openmp.let_waiting_threads_sleep()
    try:
        from service.bulk.command import run
    except ModuleNotFoundError as error:
        if error.name not in {"pyarrow", "rich"}:
            raise
        print(f"mkd-score: {error.name} is missing: pip install 'mkdserve[bulk]'", file=sys.stderr)
        return ExitCode.START_FAILED
    return guarded("mkd-score", lambda: run(sys.argv[1:] if arguments is None else arguments))


def program() -> NoReturn:
    """The command as a process. After a run on a cluster it ends at once: Ray Data's threads outlive Ray's own end, and
    one that then speaks to Ray would end the process with another exit code."""
    code = main()
    if "ray" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    program()
