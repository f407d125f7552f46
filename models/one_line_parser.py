"""An argument parser whose errors take one line, with the nearest right flag where one was mistyped."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NoReturn

from models.exit_codes import ExitCode
from models.version import service_version

# argparse's words
UNRECOGNISED = "unrecognized arguments: "
INVALID_CHOICE = re.compile(
    r"(?:argument )?(?P<what>.*): invalid choice: '(?P<given>.*)' \(choose from (?P<known>.*)\)"
)


class OneLineParser(argparse.ArgumentParser):
    """Subparsers are of this class too. Flags must be written out, so that a new one never changes an old script."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_version(self) -> None:
        """`--version`, for the parser of a whole program."""
        self.add_argument("--version", action="version", version=f"{self.prog} {service_version()}")

    def error(self, message: str) -> NoReturn:
        """One line on standard error, ExitCode.USAGE."""
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {self._in_words(message)} (see {self.prog} --help)\n")

    def _in_words(self, message: str) -> str:
        if message.startswith(UNRECOGNISED):
            return self._unknown(message.removeprefix(UNRECOGNISED).split(" ")[0])
        choice = INVALID_CHOICE.fullmatch(message)
        if choice is None:
            return message
        known = [name.strip("'") for name in choice["known"].split(", ")]
        near = difflib.get_close_matches(choice["given"], known, 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return f"{choice['what']}: {choice['given']!r} is none; {meant}"

    def _unknown(self, text: str) -> str:
        return f"unknown argument {text.split('=')[0]}{self.hint(text)}"

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:  # type: ignore[override]
        """As argparse's, but what nobody knows is refused here, where the flags of this command are at hand.

        Flags come first: argparse would name what is missing, which may be what was mistyped.
        """
        for text in self._own(list(sys.argv[1:] if args is None else args)):
            if text.startswith("--") and text.split("=")[0] not in self._option_string_actions:
                self.error(self._unknown(text))
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(self._unknown(unknown[0]))
        return found, unknown

    def _own(self, given: list[str]) -> Iterator[str]:
        """The arguments that are this parser's: none after `--`, nor behind the name of a command."""
        commands = {
            name for action in self._actions if action.nargs == argparse.PARSER for name in action.choices or ()
        }
        return takewhile(lambda text: text != "--" and text not in commands, given)

    def hint(self, text: str) -> str:
        """What the argument may have been meant to be, in words that go behind it."""
        near = difflib.get_close_matches(text.split("=")[0], self._option_string_actions, 1)
        return f"; did you mean {near[0]}?" if near else ""
