"""The documentation site builds without a warning, its links and anchors lead somewhere, and it loads nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.site_pages import LINK, turned

ROOT = Path(__file__).parents[2]
# What the hook and the configuration read.
SOURCES = (
    "docs",
    "tools",
    "studies",
    "mkdocs.yml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "NOTICE",
)
LOADED = re.compile(r"""<(?:script|img|iframe)\b[^>]*\bsrc=["']?([^"' >]+)|<link\b[^>]*\bhref=["']?([^"' >]+)""")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """The site of the repository at `root`, in `site`."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = {file.stem for file in (ROOT / "docs").glob("*.md")} | {"index", "CONTRIBUTING", "CHANGELOG", "reporting"}
    assert pages == {file.stem for file in site.glob("*.html")} - {"404"}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = [first or second for first, second in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert loaded
        assert [address for address in loaded if re.match(r"(?:https?:)?//", address)] == [], page.name


@pytest.mark.parametrize("text", ["[gone](gone.md)", "[gone](api.md#no-such-section)", "[gone](../no/such/file)"])
def test_a_dead_link_fails_the_build(tmp_path: Path, text: str) -> None:
    for name in SOURCES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    page = tmp_path / "docs" / "operate.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}\n\n{text}\n", encoding="utf-8")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert "operate.md" in built.stdout + built.stderr


@pytest.mark.parametrize(
    ("folder", "link", "expected"),
    [
        ("", "[api](docs/api.md#drift)", "[api](api.md#drift)"),
        ("", "![demo](docs/images/demo.png)", "![demo](images/demo.png)"),
        ("", "[CHANGELOG.md](CHANGELOG.md)", "[CHANGELOG.md](CHANGELOG.md)"),
        ("", "[NOTICE](NOTICE)", "NOTICE"),
        ("docs", "[plans](../studies)", "plans"),
        ("docs", "[start](../README.md#pages)", "[start](index.md#pages)"),
        ("docs", "[api](api.md)", "[api](api.md)"),
        ("docs", "[here](#start)", "[here](#start)"),
        ("docs", "[law](https://example.org/a)", "[law](https://example.org/a)"),
        ("docs", "[gone](../gone.md)", "[gone](../gone.md)"),
    ],
)
def test_a_link_is_turned_to_the_sites_layout(folder: str, link: str, expected: str) -> None:
    assert LINK.sub(lambda match: turned(match, folder), link) == expected
