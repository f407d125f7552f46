"""One table of exit codes for all commands: in the docs as in the code, and each of them met."""

from __future__ import annotations

import re
import subprocess
import sys
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
def test_every_program_knows_its_name_its_version_and_the_nearest_flag(program: str, module: str) -> None:
    shown = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout.split()[0]) == (ExitCode.DONE, program)
    wrong = subprocess.run([sys.executable, "-m", module, "--versoin"], capture_output=True, text=True, check=False)
    assert wrong.returncode == ExitCode.USAGE
    (line,) = wrong.stderr.splitlines()
    assert line.startswith(f"{program}: ")
    assert "did you mean --version?" in line
