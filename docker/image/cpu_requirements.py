"""Which distributions a machine without a GPU needs: pip's own answer, less what only CUDA uses.

PyTorch's builds on the package registry are CUDA builds: for x86 they pull in 4 GB of libraries and compilers that
nothing calls where there is no GPU. pip resolves the requirements as always, without installing anything; what only a
GPU can use is then taken off the list. Where an index with CPU builds is configured there is nothing to take off.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The runtime and the profiler's interface stay: PyTorch asks them at its start whether there is a GPU. Both are small.
KEPT = {"nvidia-cuda-runtime", "nvidia-cuda-cupti"}
# Compilers of GPU kernels, bindings, and the libraries of CUDA.
GPU_ONLY = re.compile(r"(nvidia|cuda)-.+|triton")
# PyTorch lists it for building extensions, which nothing here does.
BUILD_ONLY = {"setuptools"}


def wanted(name: str) -> bool:
    """Whether the distribution of this name is of use where there is no GPU."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    return name in KEPT or not (GPU_ONLY.fullmatch(name) or name in BUILD_ONLY)


def pinned(report: dict[str, Any]) -> list[str]:
    """`name==version` of every wanted distribution in pip's installation report (version 1 of that format)."""
    found = [(entry["metadata"]["name"], entry["metadata"]["version"]) for entry in report["install"]]
    return [f"{name}=={version}" for name, version in found if wanted(name)]


def resolved(requirements: list[str], python: str, constraints: Path) -> dict[str, Any]:
    """pip's report of what it would install for the interpreter `python` from nothing, within `constraints`.

    Raises subprocess.CalledProcessError when pip finds no solution; pip says why on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
        options = ["--dry-run", "--ignore-installed", "--report", str(report), "--constraint", str(constraints)]
        subprocess.run([*pip, *options, *requirements], check=True)
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found
