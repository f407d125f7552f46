"""An argument parser whose errors take one line, with the nearest right flag where one was mistyped."""

from __future__ import annotations

import argparse
import difflib
from typing import Any, NoReturn

from models.version import service_version

USAGE_ERROR = 2


class OneLineParser(argparse.ArgumentParser):
    """Subparsers are of this class too. Flags must be written out, so that a new one never changes an old script."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_version(self) -> None:
        """`--version`, for the parser of a whole program."""
        self.add_argument("--version", action="version", version=f"{self.prog} {service_version()}")

    def error(self, message: str) -> NoReturn:
        """One line on standard error, exit code 2."""
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:  # type: ignore[override]
        """As argparse's, but what nobody knows is refused here, where the flags of this command are at hand."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(f"unknown argument {unknown[0]}{self.hint(unknown[0])}")
        return found, unknown

    def hint(self, text: str) -> str:
        """What the argument may have been meant to be, in words that go behind it."""
        near = difflib.get_close_matches(text.split("=")[0], self._option_string_actions, 1)
        return f"; did you mean {near[0]}?" if near else ""
