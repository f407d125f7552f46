"""`mkd-audit` as a person at a terminal meets it: exit codes, what is found, what a spreadsheet gets."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from models.exit_codes import ExitCode
from service.audit.__main__ import main, parser
from service.audit.query import COLUMNS, moment
from service.run.command_line import flag
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.audit.conftest import Diary

VERDICT: dict[str, Any] = {
    "request_id": "shift-1",
    "index": 0,
    "context": {"line": "7", "part_id": "=1+1"},
    "product": "screw",
    "artifact": {"version": "2", "method": "mkd", "hash": "ab" * 32},
    "score": 2.5,
    "p_value": 0.004,
    "threshold": 2.0,
    "threshold_origin": "split-conformal",
    "review_threshold": 1.5,
    "decision": "NG",
    "image_sha256": "cd" * 32,
}


@pytest.fixture
def full(diary: Diary) -> Diary:
    """Two chains: screws and a nut, an hour between them."""
    other = diary.take()
    diary.chain.append("verdict", diary.at, VERDICT)
    diary.at += 3600
    other.append("verdict", diary.at, VERDICT | {"product": "nut", "request_id": "shift-2", "decision": "OK"})
    diary.at += 3600
    third = {"request_id": "shift-3", "decision": "REVIEW", "caller": "line-7"}
    context = {**VERDICT["context"], "station": "left"}
    diary.chain.append("verdict", diary.at, VERDICT | third | {"context": context})
    other.append("stop", diary.at, {})
    other.sync()
    diary.stop()
    return diary


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]


def test_verify_says_ok_with_the_heads_of_all_chains(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(full.folder)]) == 0
    out = capsys.readouterr().out
    assert "chain-00: 4 records, 2 of them verdicts, in 1 files; the last is 4, 2026-03-01T08:00:00.000Z" in out
    assert full.chain.head in out
    assert out.endswith("OK: 2 chains, 0 broken, 0 with warnings\n")


def test_what_people_said_of_parts_is_verified_and_shown_where_it_is_asked_for(
    diary: Diary, capsys: pytest.CaptureFixture[str]
) -> None:
    diary.chain.append("verdict", diary.at, VERDICT)
    review = {"action": "judged", "caller": "ada", "label": "good", "request_id": "shift-1", "decision": "NG"}
    diary.chain.append("review", diary.at + 60, review)
    diary.chain.append("stop", diary.at + 61, {})
    diary.leave()
    assert main(["verify", str(diary.folder)]) == 0
    assert "1 of them verdicts and 1 reviews" in capsys.readouterr().out
    for kinds, labels in (([], [None]), (["review"], ["good"]), (["verdict", "review"], [None, "good"])):
        asked = [word for kind in kinds for word in ("--kind", kind)]
        assert main(["show", str(diary.folder), "--decision", "NG", *asked]) == 0
        assert [json.loads(line).get("label") for line in capsys.readouterr().out.splitlines()] == labels


def test_verify_says_where_and_exits_with_1(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    full.rewrite([line.replace(b'"score":2.5', b'"score":1.5') for line in full.lines()])
    assert main(["verify", str(full.folder)]) == 1
    out = capsys.readouterr().out
    assert "BREAK: 0000000001.jsonl line 2: record 2 has been changed" in out
    assert out.endswith("BROKEN: 2 chains, 1 broken, 0 with warnings\n")


def test_verify_strict_takes_a_warning_as_a_break(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    full.rewrite(full.lines()[:-1])
    assert main(["verify", str(full.folder)]) == 0
    assert main(["verify", str(full.folder), "--strict"]) == 1
    assert "warning: ends without a stop record" in capsys.readouterr().out


def test_verify_with_a_log_finds_the_end_that_is_missing(full: Diary, tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text(json.dumps({"event": "audit head", "chain": "chain-00", "seq": 4, "hash": full.chain.head}) + "\n")
    assert main(["verify", str(full.folder), "--log", str(log)]) == 0
    full.rewrite(full.lines()[:-1])
    assert main(["verify", str(full.folder), "--log", str(log)]) == 1


@pytest.mark.parametrize("command", [["verify"], ["show"], ["export", "--csv", "-"]])
def test_a_folder_that_is_not_there_is_said_in_a_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path / "nowhere")]) == ExitCode.INPUT
    captured = capsys.readouterr()
    assert captured.out in ("", ",".join(COLUMNS) + "\r\n")
    assert captured.err == f"mkd-audit: {tmp_path / 'nowhere'}: No such file or directory\n"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], ["shift-1", "shift-2", "shift-3"]),
        (["--product", "screw"], ["shift-1", "shift-3"]),
        (["--decision", "NG"], ["shift-1"]),
        (["--decision", "NG", "--decision", "OK"], ["shift-1", "shift-2"]),
        (["--request-id", "shift-2"], ["shift-2"]),
        (["--part-id", "=1+1", "--line", "7"], ["shift-1", "shift-2", "shift-3"]),
        (["--part-id", "other"], []),
        (["--station", "left"], ["shift-3"]),
        (["--caller", "line-7"], ["shift-3"]),
        (["--since", "2026-03-01T07:00:00Z"], ["shift-2", "shift-3"]),
        (["--since", "2026-03-01T09:00:00+02:00", "--until", "2026-03-01T08:00"], ["shift-2"]),
        (["--since", "2026-03-02"], []),
    ],
)
def test_show_prints_what_is_asked_for_in_order_of_time(
    full: Diary, capsys: pytest.CaptureFixture[str], conditions: list[str], expected: list[str]
) -> None:
    assert main(["show", str(full.folder), *conditions]) == 0
    assert shown(capsys) == expected


def test_show_understands_how_long_ago(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(full.folder), "--since", "2h"]) == 0  # the records are of another year
    assert shown(capsys) == []
    for day in ("yesterday", "today"):
        assert main(["show", str(full.folder), "--since", day]) == 0
        assert shown(capsys) == []
    with pytest.raises(SystemExit):
        main(["show", str(full.folder), "--since", "tomorrow"])
    assert "'tomorrow' is no time" in capsys.readouterr().err


def test_yesterday_begins_at_midnight_here() -> None:
    noon = datetime(2026, 3, 2, 12).astimezone()
    begin = datetime.fromisoformat(moment("yesterday", noon.timestamp()))
    assert begin.astimezone() == datetime(2026, 3, 1).astimezone()
    assert datetime.fromisoformat(moment("today", noon.timestamp())).astimezone() == datetime(2026, 3, 2).astimezone()


def test_a_mistyped_flag_costs_a_line_and_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["show", "audit", "--part", "7"])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "mkd-audit show: error: unknown argument --part; did you mean --part-id? (see mkd-audit show --help)\n"
    )


def test_show_leaves_out_a_damaged_record_and_says_so(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    full.rewrite([line.replace(b"shift-1", b"shift-9") for line in full.lines()])
    assert main(["show", str(full.folder)]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["request_id"] for line in captured.out.splitlines()] == ["shift-2", "shift-3"]
    assert captured.err.startswith("left out: chain-00/0000000001.jsonl line 2 has been changed")


def test_files_before_the_time_asked_for_are_passed_over(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    full.pass_days(2)
    full.restart()
    full.at += 1
    full.chain.append("verdict", full.at, VERDICT | {"request_id": "shift-9"})
    full.stop()
    full.files[0].write_bytes(b"unreadable, and nobody needs to read it\n")
    assert main(["show", str(full.folder), "--product", "screw", "--since", "2026-03-03T08:00:01Z"]) == 0
    assert shown(capsys) == ["shift-9"]


def test_export_writes_a_table_in_which_no_cell_is_a_formula(full: Diary, tmp_path: Path) -> None:
    out = tmp_path / "verdicts.csv"
    assert main(["export", str(full.folder), "--csv", str(out), "--product", "screw"]) == 0
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["decision"] for row in rows] == ["NG", "REVIEW"]
    assert rows[0] | {"hash": ""} == {
        **dict.fromkeys(COLUMNS, ""),
        "time": "2026-03-01T06:00:00.000Z",
        "kind": "verdict",
        "request_id": "shift-1",
        "index": "0",
        "line": "7",
        "part_id": "'=1+1",
        "product": "screw",
        "version": "2",
        "artifact_hash": "ab" * 32,
        "decision": "NG",
        "score": "2.5",
        "p_value": "0.004",
        "threshold": "2.0",
        "threshold_origin": "split-conformal",
        "review_threshold": "1.5",
        "image_sha256": "cd" * 32,
        "chain": "chain-00",
        "seq": "2",
        "hash": "",
    }


def test_export_goes_to_standard_output_where_asked(full: Diary, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(full.folder), "--csv", "-"]) == 0
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out)))) == 4


def test_the_command_needs_neither_torch_nor_the_web_framework() -> None:
    code = "import sys, service.audit.__main__; print(*sorted(set(sys.modules) & {'torch', 'fastapi', 'cv2'}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_every_flag_that_the_page_names_exists() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    known = {flag(name) for name in Settings.model_fields}
    for command in parser()._subparsers._group_actions[0].choices.values():  # type: ignore[union-attr]
        known |= {option for action in command._actions for option in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))
    assert named <= known
    assert len(named) > 10


def test_a_reader_that_leaves_early_is_no_error(full: Diary) -> None:
    command = f"{sys.executable} -m service.audit show {full.folder} | true"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
