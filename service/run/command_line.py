"""The command line of mkd-serve: every setting is a flag of the same name, over the environment, over a file."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from models.variables import PASSED_ON
from models.version import service_version
from service.run.config_file import RENAMED, ConfigFileError, nearest_setting, read_config
from service.run.settings import ENV_PREFIX, Settings

PROGRAM = "mkd-serve"
CONFIG = f"{ENV_PREFIX}CONFIG"
OTHER_VARIABLES = {CONFIG, *PASSED_ON}
OTHER_FLAGS = ("--version", "--check", "--config", "--help")  # that are no settings
EPILOG = (
    f"Each flag is also an environment variable, {ENV_PREFIX}MAX_BATCH for --max-batch, and a key of the file that "
    "--config names; flags win over variables, and these over the file."
)


class SettingsError(ValueError):
    """The settings do not go together; the text has a line for each fault."""


@dataclass(frozen=True)
class Command:
    """What was asked for: to serve by these settings, or only to say what would happen."""

    settings: Settings
    check: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the whole usage."""
        raise SettingsError(f"{message} ({self.prog} --help lists every flag)")


def flag(name: str) -> str:
    """The command-line flag of the setting `name`."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of the setting `name`."""
    return ENV_PREFIX + name.upper()


def parser() -> argparse.ArgumentParser:
    """A parser with one option per setting; what is not given is left to environment, file and defaults."""
    options = _Parser(
        prog=PROGRAM,
        description=f"Serve the artifacts of a folder. `{PROGRAM} keys new --help` makes API keys.",
        epilog=EPILOG,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    options.add_argument("--version", action="version", version=f"{PROGRAM} {service_version()}")
    options.add_argument("--config", metavar="FILE", help=f"TOML file of settings ({CONFIG}) [none]")
    options.add_argument("--check", action="store_true", help="say what would happen, and end with 0 or 1")
    for name, field in Settings.model_fields.items():
        text = (field.description or "").replace("%", "%%")
        if field.annotation is bool:
            options.add_argument(flag(name), action=argparse.BooleanOptionalAction, help=text)
        else:
            options.add_argument(
                flag(name), metavar=name.rsplit("_", 1)[-1].upper(), help=f"{text} [{default_text(field)}]"
            )
    return options


def read_command(arguments: Sequence[str]) -> Command:
    """Settings from arguments, then environment, then the file, then defaults; raises SettingsError."""
    options = parser()
    found, unknown = options.parse_known_args(arguments)
    given = vars(found)
    if unknown:
        raise SettingsError(_unknown_argument(unknown[0]))
    if renamed := [name for name in RENAMED if variable(name) in os.environ]:
        raise SettingsError(f"{variable(renamed[0])}: {nearest_setting(renamed[0], variable)}")
    check, file = bool(given.pop("check", False)), given.pop("config", None) or os.environ.get(CONFIG)
    try:
        from_file = read_config(Path(file)) if file else {}
        return Command(settings_of(given, from_file), check)
    except ConfigFileError as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        raise SettingsError("\n".join(_in_words(row["loc"], row["msg"]) for row in error.errors())) from None


def read(arguments: Sequence[str]) -> Settings:
    """The settings alone; raises SettingsError."""
    return read_command(arguments).settings


def settings_of(given: dict[str, object], from_file: dict[str, object]) -> Settings:
    """`given` over the environment over `from_file`. Raises ValidationError."""

    class WithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *sources: PydanticBaseSettingsSource,
            **more: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return more["init_settings"], more["env_settings"], InitSettingsSource(settings_cls, from_file)

    # Plain Settings again, which other processes can read; all is given, so that the environment adds nothing.
    return Settings(**WithFile(**given).model_dump())  # type: ignore[arg-type]


def unknown_variables() -> list[str]:
    """Environment variables that look like settings and are none: most likely a typing error."""
    known = {variable(name) for name in Settings.model_fields} | OTHER_VARIABLES
    return sorted(name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)


def _unknown_argument(text: str) -> str:
    if not text.startswith("-"):
        return f"{text!r} is no flag; settings are given as --name value ({PROGRAM} --help lists them)"
    name = text.split("=", 1)[0]
    if near := difflib.get_close_matches(name, OTHER_FLAGS, 1):
        return f"{name} is no flag; did you mean {near[0]}?"
    return f"{name} is no flag; {nearest_setting(name.strip('-').removeprefix('no-'), flag)}"


def _in_words(location: tuple[int | str, ...], message: str) -> str:
    where = ".".join(map(str, location))
    text = message.removeprefix("Value error, ")
    return f"{flag(where)} ({variable(where)}): {text}" if where else text


def default_text(field: FieldInfo) -> str:
    """How the default of a setting is written in help and documentation."""
    if field.default is None or field.default is PydanticUndefined or field.default == "":
        return "none"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def warn(text: str) -> None:
    """A line on standard error, for what must be seen even where nobody reads the log."""
    sys.stderr.write(text + "\n")
