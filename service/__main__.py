"""The command mkd-serve: serves, makes an API key, or says what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from models.exit_codes import ExitCode, guarded
from service.auth import KeyFileError
from service.machine import openmp
from service.run import command_line, key_command
from service.run.command_line import SettingsError
from service.run.port import PortTaken, bound_socket


def main(arguments: Sequence[str] | None = None) -> int:
    """`mkd-serve [--flags]` serves, `mkd-serve keys new ...` makes a key. Returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(command_line.PROGRAM, lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    try:
        if arguments[:1] == ["keys"]:
            print(key_command.text_for(arguments[1:]))
            return ExitCode.DONE
        return _serve(arguments)
    except (SettingsError, KeyFileError) as error:
        command_line.warn(f"{command_line.PROGRAM}: {error}")
        return ExitCode.USAGE
    except PortTaken as error:
        command_line.warn(f"{command_line.PROGRAM}: {error}")
        return ExitCode.PORT


def _serve(arguments: Sequence[str]) -> int:
    command = command_line.read_command(arguments)
    settings = command.settings
    openmp.let_waiting_threads_sleep()
    # Imported here: to refuse settings, to make a key, or to be the parent of several processes takes no torch.
    if command.check:
        from service.run.check import run_check

        return run_check(settings, print)
    if settings.processes > 1:
        from service.run import processes

        return processes.run(settings)
    from service.run import server

    # Before the artifacts are loaded: a port that another program has is told at once.
    with bound_socket(settings, patience_s=0) as port:
        return server.serve(settings, [port])


if __name__ == "__main__":
    sys.exit(main())
