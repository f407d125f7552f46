"""The figure of imports shows what the packages import, and its layers put every part above what it imports."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.import_figure import drawn, main
from tools.import_graph import Graph, cycles, layers, part_graph, rows

ROOT = Path(__file__).parents[2]
PLAIN: Graph = {
    "service": {"service.rest", "models"},
    "service.rest": {"models"},
    "trainer": {"models"},
    "models": set(),
}
CIRCLE: Graph = {"service": {"service.rest"}, "service.rest": {"service.run"}, "service.run": {"service.rest"}}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {
        "service/__main__.py": "from service.rest.app import create\nimport service.errors\n",
        "service/errors.py": "",
        "service/rest/__init__.py": "",
        "service/rest/bodies/form.py": "from service.rest import app\n",
        "models/artifact/__init__.py": "",
        "service/rest/app.py": "import models.artifact.read\nfrom models import detector\nimport fastapi\n",
        "models/detector.py": "from models.artifact.read import read\n",
        "models/artifact/read.py": "if TYPE_CHECKING:\n    from models.detector import Detector\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_imports_of_modules_become_those_of_their_parts(repository: Path) -> None:
    assert part_graph(repository) == {
        "service (command)": {"service.rest", "service (base)"},
        "service (base)": set(),
        "service.rest": {"models", "models.artifact"},
        "models": {"models.artifact"},
        "models.artifact": set(),
    }


def test_a_part_lies_above_all_that_it_imports() -> None:
    assert layers(PLAIN) == {"models": 0, "trainer": 1, "service.rest": 1, "service": 2}
    assert [set(row) for row in rows(PLAIN)] == [{"service"}, {"service.rest", "trainer"}, {"models"}]
    assert cycles(PLAIN) == []


def test_parts_that_import_each_other_share_a_layer_and_are_told() -> None:
    assert cycles(CIRCLE) == [{"service.rest", "service.run"}]
    assert layers(CIRCLE) == {"service.rest": 0, "service.run": 0, "service": 1}


def test_the_figure_has_a_box_for_each_part_and_an_arrow_for_each_import() -> None:
    image = ElementTree.fromstring(drawn(CIRCLE))
    titles = {title.text for title in image.iter("{http://www.w3.org/2000/svg}title")}
    assert {"service imports service.rest", "service.run imports service.rest"} <= titles
    assert {text.text for text in image.iter("{http://www.w3.org/2000/svg}text")} == set(CIRCLE)
    assert drawn(CIRCLE).count('class="arrow circle"') == 2


def test_the_figure_of_contributing_is_of_this_repository() -> None:
    """Fails when an import between parts comes or goes: `make figures` draws it anew."""
    figure = (ROOT / "docs" / "images" / "imports.svg").read_text(encoding="utf-8")
    shown = set(re.findall(r"<title>(.+? imports .+?)</title>", figure))
    assert shown == {f"{part} imports {to}" for part, targets in part_graph(ROOT).items() for to in targets}
    assert "docs/images/imports.svg" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_command_writes_the_figure_and_says_whether_there_are_circles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path / "imports.svg") == 0
    assert "parts" in capsys.readouterr().out
    ElementTree.parse(tmp_path / "imports.svg")
