"""Run by the image's Python inside a container: who it is, where it may write, what is there and what not; JSON out."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

TOOLS = ("cc", "gcc", "c++", "ld", "make", "git", "pip", "pip3", "cmake", "nvcc")
CLOSED = ("/", "/opt/mkdserve", "/usr", "/etc", "/var", "/weights", "/artifacts", "/state")
# What docs/containers.md says of the image as it is built without arguments.
COMMANDS = ("mkd-serve", "mkd-train", "mkd-line", "mkd-audit")
MODULES = ("ncnn", "onnxruntime", "onnx", "sklearn", "mkdserve.client")
WEIGHTS = ("vgg16-imagenet1k_features.safetensors", "efficientnet-lite0.safetensors")


def writable(folder: str) -> bool:
    """Whether a file can be made in `folder`."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def runs(*command: str) -> bool:
    """Whether this command ends with exit code 0."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def has(python: str, module: str) -> bool:
    """Whether this interpreter can import `module`."""
    return runs(python, "-c", f"import {module}")


pythons = {sys.executable, os.path.realpath(sys.executable)}
report = {
    "user": os.getuid(),
    "python": sys.version.split()[0],
    "writable": [folder for folder in CLOSED if writable(folder)],
    "temporary": writable("/tmp"),
    "tools": [name for name in TOOLS if shutil.which(name)],
    "modules": sorted(f"{python}: {name}" for python in pythons for name in ("pip", "setuptools") if has(python, name)),
    "missing": [
        *(name for name in COMMANDS if not runs(name, "--version")),
        *(name for name in MODULES if not has(sys.executable, name)),
        *(name for name in WEIGHTS if not os.access(f"/weights/{name}", os.R_OK)),
    ],
}
json.dump(report, sys.stdout)
