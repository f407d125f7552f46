"""Run by the image's Python inside a container: who am I, where may I write, what is left of the tools; JSON out."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

TOOLS = ("cc", "gcc", "c++", "ld", "make", "git", "pip", "pip3", "cmake", "nvcc")
CLOSED = ("/", "/opt/mkdserve", "/usr", "/etc", "/var", "/weights", "/artifacts")


def writable(folder: str) -> bool:
    """Whether a file can be made in `folder`."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def has(python: str, module: str) -> bool:
    """Whether this interpreter can import `module`."""
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


pythons = {sys.executable, os.path.realpath(sys.executable)}
report = {
    "user": os.getuid(),
    "python": sys.version.split()[0],
    "writable": [folder for folder in CLOSED if writable(folder)],
    "temporary": writable("/tmp"),
    "tools": [name for name in TOOLS if shutil.which(name)],
    "modules": sorted(f"{python}: {name}" for python in pythons for name in ("pip", "setuptools") if has(python, name)),
}
json.dump(report, sys.stdout)
