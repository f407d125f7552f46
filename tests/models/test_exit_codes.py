"""One table of exit codes for all commands: in the docs as in the code, and each of them met."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from models.exit_codes import ExitCode, guarded, os_words

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "mkd-train": "trainer",
    "mkd-serve": "service",
    "mkd-score": "service.bulk",
    "mkd-audit": "service.audit",
    "mkd-line": "service.gateway",
}


def raising(error: BaseException) -> Callable[[], int]:
    def run() -> int:
        raise error

    return run


def test_the_page_has_every_code_once() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    assert listed == [int(code) for code in ExitCode]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "mkd-x: interrupted"),
        (RuntimeError("odd"), ExitCode.FAULT, "this is a fault of mkd-x itself"),
    ],
)
def test_whatever_happens_ends_in_a_code_of_the_table(
    error: BaseException, code: ExitCode, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded("mkd-x", raising(error)) == code
    assert words in capsys.readouterr().err


def test_what_an_operating_system_says_names_the_file_without_a_number() -> None:
    assert os_words(OSError(28, "No space left on device", "out/a")) == "out/a: No space left on device"
    assert os_words(OSError("odd")) == "odd"


@pytest.mark.parametrize(("program", "module"), PROGRAMS.items())
def test_every_program_knows_its_name_its_version_and_the_nearest_flag(
    program: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # which some of them set; restored after the test
    main = importlib.import_module(f"{module}.__main__").main
    assert ended(main, "--version") == ExitCode.DONE
    assert capsys.readouterr().out.split()[0] == program
    assert ended(main, "--versoin") == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{program}: ")
    assert "did you mean --version?" in line


def ended(main: Callable[[list[str]], int], argument: str) -> int | str | None:
    """The exit code of a program that got this argument alone: what it returns, or raises as argparse does."""
    try:
        return main([argument])
    except SystemExit as end:
        return end.code
