"""An argument parser whose errors take one line, with the nearest right flag where one was mistyped."""

from __future__ import annotations

import argparse
import difflib
from typing import Any, NoReturn

from models.heads.registry import method_names, method_of

USAGE_ERROR = 2


class OneLineParser(argparse.ArgumentParser):
    """Subparsers are of this class too. Flags must be written out, so that a new one never changes an old script."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """One line on standard error, exit code 2."""
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:  # type: ignore[override]
        """As argparse's, but what nobody knows is refused here, where the flags of this command are at hand."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(f"unknown argument {unknown[0]}{self._hint(unknown[0])}")
        return found, unknown

    def _hint(self, text: str) -> str:
        flag = text.split("=")[0]
        near = difflib.get_close_matches(flag, self._option_string_actions, 1)
        setting = flag.lstrip("-").replace("-", "_")
        owners = [name for name in method_names() if setting in method_of(name).Config.model_fields]
        if flag.startswith("--") and owners:
            return f": it is a setting of the method {owners[0]}, give --set {setting}=VALUE"
        return f"; did you mean {near[0]}?" if near else ""
