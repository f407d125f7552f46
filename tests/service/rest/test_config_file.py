"""Settings from a TOML file, and what a mistyped flag, table, key or variable costs: one line with what was meant."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from models.version import service_version
from service import __main__ as program
from service.run import command_line
from service.run.command_line import SettingsError
from service.run.config_file import FIRST_OF_TABLE, tables
from service.run.settings import Settings

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "service.toml"
    file.write_text('[server]\nport = 9001\n[batching]\nmax_batch = 7\n[products]\nartifacts = "a"\n', encoding="utf-8")
    return file


def test_flags_win_over_variables_and_these_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKD_MAX_BATCH", "8")
    monkeypatch.setenv("MKD_MAX_IMAGES", "9")
    settings = command_line.read(["--config", str(config), "--max-images", "10"])
    assert (settings.port, settings.max_batch, settings.max_images) == (9001, 8, 10)
    assert settings.artifacts == Path("a")
    assert settings.drain_s == Settings().drain_s


def test_the_file_may_be_named_by_a_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKD_CONFIG", str(config))
    assert command_line.read([]).port == 9001
    assert command_line.unknown_variables() == []


def test_settings_from_a_file_reach_other_processes(config: Path) -> None:
    settings = command_line.read(["--config", str(config)])
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert type(settings) is Settings


def test_the_tables_are_the_sections_of_the_page() -> None:
    assert list(dict.fromkeys(tables().values())) == list(FIRST_OF_TABLE)
    section, found = "", {}
    for line in (DOCS / "settings.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("[]")
        elif line.startswith("| `--"):
            found[line.split("`")[1].removeprefix("--").replace("-", "_")] = section
    assert found == tables()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[batching]\nmax_bach = 3", r"\[batching\] max_bach is no setting; did you mean max_batch\?"),
        ("[server]\nmax_batch = 3", r"\[server\] max_batch is no setting; max_batch belongs to \[batching\]"),
        ("[baching]\nmax_batch = 3", r"\[baching\] is no table; did you mean \[batching\]\?"),
        ("max_batch = 3", r"max_batch stands outside of any table; max_batch belongs to \[batching\]"),
        ('[devices]\nengine = "torch"', r"\[devices\] engine is no setting; it is called backend now"),
        ("[batching\nmax_batch = 3", "is not TOML"),
        ('[batching]\nmax_batch = "many"', r"--max-batch \(MKD_MAX_BATCH\)"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_what_would_be_right(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "service.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=words) as refused:
        command_line.read(["--config", str(file)])
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: No such file"):
        command_line.read(["--config", str(tmp_path / "nowhere.toml")])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-bach", "3"], "--max-bach is no flag; did you mean --max-batch?"),
        (["--max-batc=3"], "--max-batc is no flag; did you mean --max-batch?"),
        (["--engine", "torch"], "--engine is no flag; it is called --backend now"),
        (["--port"], "argument --port: expected one argument"),
        (["artifacts"], "'artifacts' is no flag"),
    ],
)
def test_a_mistyped_flag_costs_one_line_and_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("mkd-serve: ")
    assert words in printed
    assert printed.count("\n") == 1


def test_the_old_name_of_a_variable_is_refused_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MKD_ENGINE", "torch")
    assert program.main([]) == 2
    assert "MKD_ENGINE: it is called MKD_BACKEND now" in capsys.readouterr().err


def test_the_program_says_its_name_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mkd-serve {service_version()}\n"


def test_pins_lie_beside_the_artifacts_unless_said_otherwise() -> None:
    assert Settings(artifacts=Path("a")).pins_file == Path("a/.mkd-state.json")
    assert Settings(state_file=Path("pins.json")).pins_file == Path("pins.json")
    assert Settings(state_file=Path("off")).pins_file is None
