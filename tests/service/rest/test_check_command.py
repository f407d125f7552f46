"""`mkd-serve --check` says what a start would do, in words, and ends with 0 or 1."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from models.variables import CACHE_ENV
from service import __main__ as program
from service.logs import FIELDS
from service.run.cache import tell_of_cache
from tests.service.products.conftest import Stock


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return Stock(tmp_path / "artifacts")


def checked(stock: Stock, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    limits = ("--max-image-pixels", "1000000", "--max-waiting-bytes", "134217728")
    code = program.main(["--check", "--artifacts", str(stock.root), "--port", "0", *limits, *more])
    return code, capsys.readouterr().out


def test_a_service_that_would_judge_is_told_with_its_versions(stock: Stock, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)
    code, text = checked(stock, capsys)
    assert "product screw: version 2 would be served (the highest)" in text
    assert "product screw: beware, preprocessing of version 1: " in text
    assert "keys: none" in text
    assert "memory: " in text
    assert (code, text.splitlines()[-1]) == (0, "it would start and judge")
    assert not list(stock.root.glob(".*"))  # looking has written nothing


def test_a_refused_artifact_is_told_with_its_reason(stock: Stock, capsys: pytest.CaptureFixture[str]) -> None:
    stock.write("bolt", product="bolt")
    stock.write("screw/1")
    stock.spoil("screw/1")
    code, text = checked(stock, capsys)
    assert code == 1
    assert "BAD  product screw 1: refused: screw/1/head.safetensors: its SHA-256" in text
    assert "1 of 2 products; each request has to name one" in text


def test_a_wrong_folder_a_busy_port_and_a_key_file_that_is_not_there(
    stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, text = checked(stock, capsys, "--port", port, "--api-keys-file", str(tmp_path / "keys"))
    assert code == 1
    assert f"BAD  artifacts: {stock.root}: there is no such folder" in text
    assert f"BAD  port {port} of 127.0.0.1 is taken by another program" in text
    assert "BAD  keys: " in text


@pytest.mark.parametrize(
    ("feedback", "words"),
    [
        ("off", "ok   feedback: off; no verdict is stored for review"),
        ("auto", "ok   feedback: verdicts are stored in {folder}/artifacts.feedback"),
        (
            "{folder}/file",
            "feedback: beware, no verdict would be stored in {folder}/file: {folder}/file is a file",
        ),
        ("postgresql://mkd:s3cret@/x?host={folder}", "feedback: beware, no verdict would be stored in the PostgreSQL"),
    ],
)
def test_where_verdicts_would_be_stored_is_told(
    stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str], feedback: str, words: str
) -> None:
    stock.write("screw/1")
    (tmp_path / "file").write_text("in the way")
    code, text = checked(stock, capsys, "--feedback", feedback.format(folder=tmp_path))
    assert code == 0
    assert words.format(folder=tmp_path) in text
    assert "s3cret" not in text
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "file"}


def test_a_cache_folder_that_cannot_be_written_is_told_and_stands_in_the_way_of_nothing(
    stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stock.write("screw/1")
    monkeypatch.setenv(CACHE_ENV, str(tmp_path / "cache"))
    assert f"ok   cache: what a start finds is kept in {tmp_path}/cache" in checked(stock, capsys)[1]
    (tmp_path / "cache").write_text("in the way")
    code, text = checked(stock, capsys)
    assert code == 0
    assert (
        f"cache: beware, {tmp_path}/cache: {tmp_path}/cache is a file and no folder, so every start judges all" in text
    )


def test_a_start_logs_that_nothing_can_be_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_ENV, str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING, logger="mkdserve"):  # whatever a start before has set
        tell_of_cache()
        assert caplog.records == []
        (tmp_path / "cache").write_text("in the way")
        tell_of_cache()
    (told,) = caplog.records
    assert told.message.startswith("cache folder cannot be written")
    assert str(tmp_path / "cache") in getattr(told, FIELDS)["detail"]
