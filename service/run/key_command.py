"""Makes a fresh API key and its line for the key file: `mkd-serve keys new --name X --scopes infer,metrics`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from models.one_line_parser import OneLineParser
from service.auth import SCOPES, KeyFileError, new_key


def parser() -> argparse.ArgumentParser:
    """The parser of the `keys` command."""
    options = OneLineParser(prog="mkd-serve keys", description="Make API keys.")
    actions = options.add_subparsers(dest="action", required=True)
    new = actions.add_parser("new", help="print a fresh key and the line to put into the key file")
    new.add_argument("--name", required=True, help="whose key it is; appears in the log")
    new.add_argument("--scopes", default="infer", help=f"comma-separated, of {', '.join(SCOPES)} [infer]")
    return options


def text_for(arguments: Sequence[str]) -> str:
    """What the command prints; raises KeyFileError for a bad name or scope."""
    given = parser().parse_args(arguments)
    secret, key = new_key(given.name, given.scopes.split(","))
    return (
        f"key (shown this once; send it as `Authorization: Bearer KEY`):\n{secret}\n\n"
        f"line for the key file (--api-keys-file):\n{key.line()}"
    )


__all__ = ["KeyFileError", "parser", "text_for"]
