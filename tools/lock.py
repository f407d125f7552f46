"""Writes the versions that are installed here, and so were tested, as constraints for pip: `make lock`.

Starts from the requirements in pyproject.toml and follows what each installed distribution requires in turn, so that
nothing that merely happens to be installed beside them gets in.
"""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "mkdserve"
# Peers that a benchmark runs beside the product; nothing is tested with them.
NOT_TESTED = {"bench"}
HEAD = """\
# Versions that the tests ran with, for: pip install --constraint constraints.txt ...
# Written by `make lock` from what is installed; change pyproject.toml, not this.
"""


class NotInstalled(Exception):
    """A requirement that is not installed, so that its tested version is not known; the text names it."""


class Wanted(NamedTuple):
    """A distribution that is required, and the extras of it."""

    name: str
    extras: frozenset[str]


def stated(pyproject: Path) -> list[Requirement]:
    """What pyproject.toml requires by itself, in all its tested extras; not what it requires of its own extras."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    lines = [*project["dependencies"], *(line for name, lines in extras if name not in NOT_TESTED for line in lines)]
    return [wanted for line in lines if (wanted := Requirement(line)).name != PROJECT]


def installed(requirements: list[Requirement]) -> dict[str, str]:
    """Name -> installed version of every distribution that these require, directly or not. Raises NotInstalled."""
    versions: dict[str, str] = {}
    done: set[Wanted] = set()
    waiting = [wanted for requirement in requirements if (wanted := _wanted(requirement, frozenset()))]
    while waiting:
        one = waiting.pop()
        if one in done:
            continue
        done.add(one)
        try:
            found = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:
            raise NotInstalled(f"{one.name} is required and not installed; make install-dev brings it") from None
        versions[one.name] = found.version
        lines = found.requires or []
        waiting += [further for line in lines if (further := _wanted(Requirement(line), one.extras))]
    return versions


def _wanted(requirement: Requirement, extras: frozenset[str]) -> Wanted | None:
    """What a requirement asks for in this environment, where the distribution that states it was asked for `extras`."""
    marker = requirement.marker
    if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
        return None
    return Wanted(canonicalize_name(requirement.name), frozenset(requirement.extras))


def constraints(versions: dict[str, str]) -> str:
    """The text of constraints.txt."""
    return HEAD + "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def main(target: Path) -> int:
    """Write `target`; 0, or 1 where something required is not installed."""
    try:
        versions = installed(stated(Path("pyproject.toml")))
    except NotInstalled as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    target.write_text(constraints(versions), encoding="utf-8")
    print(f"{target}: {len(versions)} distributions")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
