"""Reads from pyproject.toml the requirements that pip shall install for some extras.

    python requirements.py pyproject.toml ncnn train        # dependencies and these extras
    python requirements.py --only pyproject.toml weights    # these extras alone

Writes one requirement a line. Run by the image's build before anything is installed, so the standard library must do.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def requirements(file: Path, extras: list[str], *, dependencies: bool = True) -> list[str]:
    """The requirements of the project in `file` with `extras`; raises KeyError for an extra that it does not have.

    An extra that is made of others (`name[other,another]`) is written out, as no index knows this project.
    """
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    found: list[str] = [*project["dependencies"]] if dependencies else []
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            others = re.fullmatch(re.escape(project["name"]) + r"\[(.+)\]", line)
            found += requirements(file, others[1].split(","), dependencies=False) if others else [line]
    return found


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--only"]
    lines = requirements(Path(arguments[0]), arguments[1:], dependencies="--only" not in sys.argv)
    sys.stdout.write("\n".join(lines) + "\n")
