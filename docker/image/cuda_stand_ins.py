"""Makes a CUDA build of PyTorch start where CUDA's libraries are not installed, with symbolic links alone.

PyTorch's libraries name CUDA's as needed, so the dynamic loader wants a file for each of them, even where no GPU is
ever asked. Two things together make it content:

- each missing name becomes a link to `libtorch_global_deps.so`, a library of PyTorch's own that defines nothing. It
  has no table of symbol versions, so that the loader does not ask it for CUDA's;
- Python opens extension modules with lazy binding (RTLD_LAZY), so that a function is looked up when it is first
  called. On a CPU none of CUDA's is: PyTorch asks CUDA's runtime first, which is the real one, and hears that there is
  no device. A line in a `.pth` file sets this for every program of the environment.

Were one called after all, the loader would end the process with "symbol lookup error" and the name of the function.
LD_BIND_NOW=1 in the environment switches lazy binding off and must not be set.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

STAND_IN = "libtorch_global_deps.so"
LAZY = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n"
LAZY_FILE = "torch_without_cuda.pth"
ABSENT = re.compile(r"(?:^|\s)(lib[\w.+-]+): cannot open shared object file")


class NotLoadable(Exception):
    """PyTorch does not load for another reason than an absent library; the text is what it said."""


def stand_in(python: str, modules: str = "torch, torchvision") -> list[str]:
    """Give the environment of the interpreter `python` all that `import modules` misses; the names that were missing.

    Nothing is written where nothing is missing, so that a later call, or one on a build for CPUs, changes nothing.
    Raises NotLoadable.
    """
    missing: list[str] = []
    while name := absent_library(python, modules):
        if not missing:
            packages = site_packages(python)
            (packages / LAZY_FILE).write_text(LAZY, encoding="ascii")
        link = packages / "torch" / "lib" / name
        if link.is_symlink():
            raise NotLoadable(f"{name} is not found, although {link} is there")
        link.symlink_to(STAND_IN)
        missing.append(name)
    return missing


def absent_library(python: str, modules: str) -> str | None:
    """The first library that the loader misses on `import modules`, or None if the import works. Raises NotLoadable."""
    run = subprocess.run([python, "-c", f"import {modules}"], capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return None
    found = ABSENT.search(run.stderr)
    if found is None:
        raise NotLoadable(f"{python} cannot import {modules}:\n{run.stderr.strip()[-2000:]}")
    return found[1]


def site_packages(python: str) -> Path:
    """Where the interpreter `python` has its packages."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
