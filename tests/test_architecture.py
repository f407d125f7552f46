"""Arrows between the packages point one way: service -> models <- trainer. Read from the imports themselves."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("service", "models", "trainer")


@cache
def imports(file: Path) -> frozenset[str]:
    """Full names of all that a file imports, anywhere in it, but for what is there for type checkers only."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def tops(names: frozenset[str] | set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} has no modules"
    return found


def module_file(name: str) -> Path | None:
    stem = ROOT / Path(*name.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def reached(name: str) -> set[str]:
    """All that importing a project module brings in: its imports, and those of every project module on the way."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        if current.partition(".")[0] not in PACKAGES:
            continue
        parts = current.split(".")
        for name in (".".join(parts[:count]) for count in range(1, len(parts) + 1)):
            file = module_file(name)
            if file is not None:
                waiting += imports(file)
    return found


@pytest.mark.parametrize("file", modules("models"), ids=lambda file: str(file.relative_to(ROOT)))
def test_models_know_neither_service_nor_trainer_nor_a_web_framework(file: Path) -> None:
    assert not tops(imports(file)) & {"service", "trainer", "fastapi", "starlette", "uvicorn", "ray"}


@pytest.mark.parametrize("file", modules("trainer"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_trainer_does_not_know_the_service(file: Path) -> None:
    ray = set() if file.name == "train_all.py" else {"ray"}  # trains on a cluster where that is asked for
    assert not tops(imports(file)) & {"service", "fastapi", "starlette", "uvicorn", *ray}


@pytest.mark.parametrize("file", modules("service"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_service_does_not_know_the_trainer(file: Path) -> None:
    assert "trainer" not in tops(imports(file))


BOTTOM = {"errors", "logs", "machine", "metrics", "picture_kind", "shutdown_flag", "spreadsheet"}
CORE = BOTTOM | {"engine", "products", "inspection"}
ARROWS = {  # a part of service/ (a folder, or a module beside them) -> the parts that it may import
    **{part: set() for part in BOTTOM},
    "auth": BOTTOM,
    "sessions": BOTTOM,
    "engine": BOTTOM,
    "products": BOTTOM,
    "inspection": BOTTOM | {"engine", "products"},
    "audit": CORE,
    "drift": CORE,
    "feedback": CORE,
    "bulk": CORE,
    "trainings": BOTTOM,
    "rest": CORE | {"auth", "drift", "feedback", "sessions", "trainings"},
    "oip": CORE | {"auth", "rest"},
    "page": set(),
    "run": CORE | {"auth", "audit", "drift", "feedback", "gateway", "oip", "page", "rest", "sessions", "trainings"},
    "cluster": CORE | {"rest", "run"},
    "gateway": {"auth", "audit", "errors", "logs", "metrics", "version"},  # it needs nothing of what judges
    "__main__": BOTTOM | {"auth", "run"},
    "__init__": set(),
}


def part_of(name: str) -> str:
    """The folder right under a package, or the module there: "engine" of service.engine.batcher."""
    return [*name.split("."), "__init__"][1]


@cache
def parts_imported(package: str) -> dict[str, set[str]]:
    """For each part of a package, the other parts that any of its modules imports."""
    found: dict[str, set[str]] = {}
    for file in modules(package):
        part = part_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
        own = {part_of(name) for name in imports(file) if name.startswith(f"{package}.")}
        found.setdefault(part, set()).update(own - {part})
    return found


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """The parts from which following the arrows leads back to them; empty where there is no cycle."""
    found = []
    for start in arrows:
        seen, waiting = set[str](), list(arrows[start])
        while waiting:
            part = waiting.pop()
            if part not in seen:
                seen.add(part)
                waiting += arrows.get(part, set())
        if start in seen:
            found.append(start)
    return sorted(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folders_of_a_package_import_each_other_in_a_circle(package: str) -> None:
    """A folder and what lies in it count as one part."""
    assert circle_in(parts_imported(package)) == []


def test_a_circle_would_be_found() -> None:
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set[str]()}
    assert circle_in(arrows) == ["a", "b", "c"]
    assert "engine" in parts_imported("service")["inspection"]


@pytest.mark.parametrize("part", sorted(parts_imported("service")))
def test_a_part_of_the_service_imports_only_what_lies_below_it(part: str) -> None:
    """`run` and `cluster` are at the top: the one puts a process together, the other many."""
    assert part in ARROWS, f"service/{part} is new: say in ARROWS what it may import"
    assert parts_imported("service")[part] <= ARROWS[part]


WEB = {"fastapi", "starlette", "uvicorn", "httptools", "python_multipart", "ray", "pymodbus", "snap7"}


@pytest.mark.parametrize("module", ["inspector", "inspection", "observers", "metrics_observer", "verdict", "context"])
def test_the_core_brings_in_no_web_framework_no_protocol_and_no_http_record(module: str) -> None:
    found = reached(f"service.inspection.{module}")
    assert not tops(found) & WEB
    assert not {name for name in found if name.startswith(("service.rest", "service.run", "service.auth"))}


def test_the_batcher_brings_in_neither_torch_nor_fastapi() -> None:
    found = tops(reached("service.engine.batcher"))
    assert "service" in found
    assert not found & {"torch", "fastapi", "starlette"}


def test_the_gateway_as_a_process_of_its_own_brings_in_nothing_that_judges() -> None:
    found = reached("service.gateway.__main__")
    assert "asyncio" in found
    assert not tops(found) & {"torch", "fastapi", "ray"}
    assert not {name for name in found if name.startswith(("service.inspection", "service.engine", "service.run"))}


def test_the_mathematics_of_drift_brings_in_neither_torch_nor_fastapi() -> None:
    assert not tops(reached("service.drift.monitor")) & {"torch", "fastapi", "starlette"}


def test_the_reading_of_imports_would_find_one() -> None:
    """The tests above must be able to fail: the same reading finds torch behind modules that do use it."""
    assert {"torch", "models", "pydantic"} <= tops(reached("models.artifact"))
    assert "fastapi" in tops(reached("service.rest.app"))


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        ("service.engine.batcher", {"torch", "fastapi", "starlette"}),
        (
            "service.inspection.inspector, service.bulk.scorer",
            {"fastapi", "starlette", "uvicorn", "httptools", "service.rest"},
        ),
    ],
)
def test_what_the_imports_say_is_what_happens(names: str, absent: set[str]) -> None:
    code = f"import sys, {names}; print(*sorted(set(sys.modules) & {absent!r}))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_models_and_trainer_run_where_fastapi_is_not_installed() -> None:
    files = [file for package in ("models", "trainer") for file in modules(package)]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    wanted = [name for name in names if not name.endswith(("__init__", "__main__"))]
    code = (
        "import sys\n"
        "for name in ('fastapi', 'starlette', 'uvicorn', 'ray'): sys.modules[name] = None\n"
        f"import {', '.join(wanted)}\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_reads_pickles_or_runs_text(package: str) -> None:
    for file in modules(package):
        assert not tops(imports(file)) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}, file
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, f"{file}:{node.lineno}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), f"{file}:{node.lineno}"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_belongs_to_this_distribution_alone(package: str) -> None:
    owners = metadata.packages_distributions().get(package)
    if owners is None:
        pytest.skip("mkdserve is not installed as a distribution here, only lies in the working folder")
    assert set(owners) == {"mkdserve"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_that_is_imported_is_the_one_of_this_checkout(package: str) -> None:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).parent == ROOT / package
