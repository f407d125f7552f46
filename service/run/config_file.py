"""Reads settings from a TOML file whose tables are the sections of docs/settings.md: `mkd-serve --config FILE`."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from service.run.settings import Settings

# The first setting of each table, in the order of Settings; the others follow it up to the next one's.
FIRST_OF_TABLE = {
    "server": "host",
    "products": "artifacts",
    "devices": "devices",
    "batching": "max_batch",
    "requests": "max_images",
    "security": "api_keys_file",
    "audit": "audit_folder",
    "drift": "drift",
    "feedback": "feedback",
    "training": "training_folder",
    "running": "log_level",
}
RENAMED = {"engine": "backend"}


class ConfigFileError(ValueError):
    """The file cannot be used; the text is one line that says which key and what would be right."""


def tables() -> dict[str, str]:
    """Setting -> its table, in the order of Settings."""
    starts = {first: table for table, first in FIRST_OF_TABLE.items()}
    found, table = {}, ""
    for name in Settings.model_fields:
        table = starts.get(name, table)
        found[name] = table
    return found


def read_config(file: Path) -> dict[str, object]:
    """The settings that the file gives, by name, not yet checked. Raises ConfigFileError."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigFileError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigFileError(f"{file}: is not TOML: {error}") from error
    known, given = tables(), {}
    for table, entries in content.items():
        if not isinstance(entries, Mapping):
            raise ConfigFileError(f"{file}: {table} stands outside of any table; {_right_place(table, known)}")
        if table not in FIRST_OF_TABLE:
            raise ConfigFileError(f"{file}: [{table}] is no table; {_nearest(table, FIRST_OF_TABLE, _bracketed)}")
        for name, value in entries.items():
            if known.get(name) != table:
                raise ConfigFileError(f"{file}: [{table}] {name} is no setting; {_right_place(name, known)}")
            given[name] = value
    return given


def nearest_setting(name: str, form: Callable[[str], str] = str) -> str:
    """In words, what the writer of an unknown setting may have meant; `form` is how it is written there."""
    name = name.lower().replace("-", "_")
    if name in RENAMED:
        return f"it is called {form(RENAMED[name])} now"
    return _nearest(name, Settings.model_fields, form)


def _bracketed(table: str) -> str:
    return f"[{table}]"


def _right_place(name: str, known: Mapping[str, str]) -> str:
    return f"{name} belongs to [{known[name]}]" if name in known else nearest_setting(name)


def _nearest(name: str, names: Iterable[str], form: Callable[[str], str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"did you mean {form(near[0])}?" if near else "docs/settings.md lists them all"
