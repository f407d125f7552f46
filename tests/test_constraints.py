"""constraints.txt names the version of all that the project requires, and the versions that the CI tests with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import NotInstalled, constraints, installed, main, stated

ROOT = Path(__file__).parents[1]
PINNED = {
    name: version
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for name, version in [line.split("==")]
}


@pytest.mark.parametrize("requirement", stated(ROOT / "pyproject.toml"), ids=lambda requirement: str(requirement.name))
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    """Fails for a new requirement until `make lock` has been called."""
    version = PINNED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def test_what_a_pinned_distribution_requires_is_pinned_as_well() -> None:
    """Of those that are installed here; pip would choose a version of its own for what is missing."""
    loose: dict[str, str] = {}
    for name in PINNED:
        lines = metadata.requires(name) or [] if there(name) else []
        needed = [
            one for line in lines if (one := Requirement(line)).marker is None or one.marker.evaluate({"extra": ""})
        ]
        loose |= {one.name: name for one in needed if canonicalize_name(one.name) not in PINNED}
    assert loose == {}


@pytest.mark.skipif("CI" not in os.environ, reason="a developer's environment may be newer")
def test_the_ci_tests_the_pinned_versions() -> None:
    found = {name: metadata.version(name) for name in PINNED if there(name)}
    assert found == {name: PINNED[name] for name in found}
    assert {"torch", "fastapi", "pytest"} <= set(found)


def there(name: str) -> bool:
    """Whether this distribution is installed; some are for one platform alone."""
    return any(metadata.distributions(name=name))


def test_pip_and_the_makefile_and_the_image_take_the_file() -> None:
    for name in ("Makefile", "Dockerfile", "docker/image/install_cpu.py"):
        assert "constraints.txt" in (ROOT / name).read_text(encoding="utf-8")


def test_the_list_follows_requirements_and_extras_and_nothing_else() -> None:
    found = installed([Requirement("uvicorn[standard]"), Requirement("never-there; sys_platform == 'amiga'")])
    assert {"uvicorn", "httptools", "uvloop", "click"} <= set(found)
    assert "fastapi" not in found
    assert found["uvicorn"] == metadata.version("uvicorn")
    assert "httptools" not in installed([Requirement("uvicorn")])


def test_a_requirement_that_is_not_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotInstalled, match="no-such-distribution"):
        installed([Requirement("no-such-distribution")])
    project = '[project]\ndependencies = ["no-such-distribution"]\n[project.optional-dependencies]\n'
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(tmp_path / "constraints.txt") == 1
    assert "no-such-distribution" in capsys.readouterr().err
    assert not (tmp_path / "constraints.txt").exists()


def test_the_file_is_in_the_form_that_pip_reads() -> None:
    text = constraints({"b": "2", "a": "1"})
    assert text.endswith("a==1\nb==2\n")
    assert all(line.startswith("#") for line in text.splitlines()[:-2])


def test_the_hooks_run_what_the_environment_has() -> None:
    """Nothing is fetched when a commit is made: every hook is local and of `language: system`."""
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    assert set(re.findall(r"language: (\S+)", text)) == {"system"}
    programs = set(re.findall(r"entry: (\S+)", text))
    assert programs == {".venv/bin/ruff", ".venv/bin/mypy"}


def test_the_hooks_are_a_valid_configuration() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
