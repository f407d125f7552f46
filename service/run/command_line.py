"""In: the arguments of `python -m service`. Out: checked `Settings`; every setting is a flag of the same name."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.run.settings import ENV_PREFIX, Settings

VARIABLES_OF_MODELS = {"MKD_CACHE_DIR", "MKD_NO_DOWNLOAD"}  # models.sources.weights reads them
EPILOG = f"Each flag is also an environment variable, {ENV_PREFIX}MAX_BATCH for --max-batch; flags win."


class SettingsError(ValueError):
    """The settings do not go together; the text has a line for each fault."""


def flag(name: str) -> str:
    """The command-line flag of the setting `name`."""
    return "--" + name.replace("_", "-")


def parser() -> argparse.ArgumentParser:
    """A parser with one option per setting; what is not given is left to environment and defaults."""
    options = argparse.ArgumentParser(
        prog="python -m service",
        description="Serve the artifacts of a folder. `python -m service keys new --help` makes API keys.",
        epilog=EPILOG,
        argument_default=argparse.SUPPRESS,
    )
    for name, field in Settings.model_fields.items():
        text = (field.description or "").replace("%", "%%")
        if field.annotation is bool:
            options.add_argument(flag(name), action=argparse.BooleanOptionalAction, help=text)
        else:
            options.add_argument(
                flag(name), metavar=name.rsplit("_", 1)[-1].upper(), help=f"{text} [{default_text(field)}]"
            )
    return options


def read(arguments: Sequence[str]) -> Settings:
    """Settings from arguments, then environment, then defaults; raises SettingsError."""
    given = vars(parser().parse_args(arguments))
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_in_words(row["loc"], row["msg"]) for row in error.errors())) from None


def unknown_variables() -> list[str]:
    """Environment variables that look like settings and are none: most likely a typing error."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | VARIABLES_OF_MODELS
    return sorted(name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)


def _in_words(location: tuple[int | str, ...], message: str) -> str:
    where = ".".join(map(str, location))
    text = message.removeprefix("Value error, ")
    return f"{flag(where)} ({ENV_PREFIX}{where.upper()}): {text}" if where else text


def default_text(field: FieldInfo) -> str:
    """How the default of a setting is written in help and documentation."""
    if field.default is None or field.default is PydanticUndefined or field.default == "":
        return "none"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def warn(text: str) -> None:
    """A line on standard error, for what must be seen even where nobody reads the log."""
    sys.stderr.write(text + "\n")
