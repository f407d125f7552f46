"""Installs what the project needs into an environment, without the 4 GB that only a GPU uses.

    python -m docker.image.install_cpu .venv/bin/python weights train ncnn

reads pyproject.toml and constraints.txt of the working folder and installs the dependencies and the named extras, not
the project itself. It runs before anything is installed, so the standard library and pip must do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from docker.image.cpu_requirements import pinned, resolved
from docker.image.cuda_stand_ins import NotLoadable, stand_in
from docker.image.requirements import requirements


def install(python: str, extras: list[str]) -> list[str]:
    """Install into the environment of the interpreter `python`; the libraries of CUDA that are done without.

    Raises subprocess.CalledProcessError when pip fails, KeyError for an extra that there is not, NotLoadable.
    """
    wanted = requirements(Path("pyproject.toml"), extras)
    pins = pinned(resolved(wanted, python, Path("constraints.txt")))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *pins], check=True)
    return stand_in(python)


def main(python: str, *extras: str) -> int:
    """Exit code 0 when `python` imports torch, 1 with what failed."""
    try:
        without = install(python, [*extras])
    except subprocess.CalledProcessError as error:
        print(f"install_cpu: pip ended with exit code {error.returncode}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"install_cpu: pyproject.toml has no extra {error}", file=sys.stderr)
        return 1
    except NotLoadable as error:
        print(f"install_cpu: {error}", file=sys.stderr)
        return 1
    if without:
        print(f"PyTorch for CPUs: done without {', '.join(without)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
