"""The OPC UA server against asyncua's client in another process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.auth import new_key
from tests.e2e.gateway.certificates import Authority
from tests.e2e.gateway.processes import ROOT, FakeJudge, GatewayProcess, free_port, wait_for

pytest.importorskip("asyncua", reason="needs asyncua: pip install 'mkdserve[opcua]'")

STATION = """
[[station]]
name = "press"
window_ms = 2000
recipes = {{ bolt-m6 = "bolt", tile = "tile" }}
source = {{ kind = "files", folder = "{pictures}" }}
link = {{ kind = "opcua_server", port = {port}, {more} }}
"""


@pytest.fixture
def key(tmp_path: Path) -> str:
    secret, entry = new_key("plc-1", ["infer"])
    (tmp_path / "keys").write_text(entry.line() + "\n", encoding="utf-8")
    return secret


Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """`ask(port, user, password, *commands)`: what the client says to each, an empty list where it is not let in."""
    command = [sys.executable, "-m", "tests.e2e.gateway.opcua_client"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        requests, answers = client.stdin, client.stdout

        def asked(port: int, *words: str) -> list[dict[str, Any]]:
            requests.write(json.dumps([f"opc.tcp://127.0.0.1:{port}/mkd/press", *words]) + "\n")
            requests.flush()
            said: list[dict[str, Any]] = json.loads(answers.readline())
            return said

        yield asked
        requests.close()


def test_jobs_events_recipes_and_rights(judge: FakeJudge, pictures: Path, tmp_path: Path, key: str, ask: Ask) -> None:
    port = free_port()
    stations = STATION.format(pictures=pictures, port=port, more=f'keys_file = "{tmp_path}/keys"')
    with GatewayProcess(tmp_path, judge.port, stations) as gateway:
        gateway.wait_ready()
        good, bad, acknowledged, again, unknown, selected = ask(
            port, "plc", key, "job:p-1:bolt-m6", "job:p-2:tile", "ack", "ack", "job:p-3:nut", "select:tile"
        )
        assert (good["Decision"], good["IsOk"], good["PartId"], good["score"]) == ("OK", True, "p-1", 0.5)
        assert good["JobId"] == good["job"]
        assert (bad["Decision"], bad["IsOk"], bad["PartId"], bad["Code"]) == ("NG", False, "p-2", 0)
        assert (acknowledged["error"], again["error"], selected["error"]) == (0, -3, 0)
        assert (unknown["Decision"], unknown["Code"], unknown["score"]) == ("REJECT", 12, -1.0)
        (by_selection,) = ask(port, "plc", key, "job:p-4:")
        assert by_selection["Decision"] == "OK"
        read, write, job = ask(port, "", "", "read", "write", "job:p-5:tile")
        assert read["State"] == "Ready"
        assert "error" in write
        assert "error" in job
        assert "Decision" not in job
        assert ask(port, "plc", "wrong", "read") == []


def test_an_encrypted_server_takes_users_with_a_trusted_certificate_and_nobody_else(
    judge: FakeJudge, pictures: Path, tmp_path: Path, key: str, ask: Ask
) -> None:
    port, authority, stranger = free_port(), Authority(tmp_path / "ca"), Authority(tmp_path / "other", "stranger")
    certificate, private = authority.sign("server")
    (tmp_path / "trusted").mkdir()
    shutil.copy(authority.file, tmp_path / "trusted")
    more = (
        f'anonymous = "none", keys_file = "{tmp_path}/keys", certificate = "{certificate}", private_key = "{private}", '
        f'trusted = "{tmp_path}/trusted"'
    )

    def secure(by: Authority, name: str, days: int = 30) -> str:
        return "secure:{}:{}".format(*by.sign(name, days=days))

    client = secure(authority, "client")
    with GatewayProcess(tmp_path, judge.port, STATION.format(pictures=pictures, port=port, more=more)) as gateway:
        gateway.wait_ready()
        (good,) = ask(port, "plc", key, client, "job:p-1:bolt-m6")
        assert (good["Decision"], good["PartId"]) == ("OK", "p-1")
        assert ask(port, "plc", "wrong", client, "read") == []
        assert ask(port, "", "", client, "read") == []
        assert ask(port, "plc", key, "read") == []  # in the clear
        assert ask(port, "plc", key, secure(authority, "late", days=-1), "read") == []
        assert ask(port, "plc", key, secure(stranger, "unknown"), "read") == []
        (still,) = ask(port, "plc", key, client, "job:p-2:tile")
        assert still["Decision"] == "NG"


def test_a_certificate_that_has_expired_is_named_and_its_successor_is_taken_without_a_restart(
    judge: FakeJudge, pictures: Path, tmp_path: Path, key: str, ask: Ask
) -> None:
    port, authority = free_port(), Authority(tmp_path / "ca")
    certificate, key_file = authority.sign("server", days=-1)
    private = key_file.rename(tmp_path / "server.key")  # the library would take it for DER by its name
    more = f'keys_file = "{tmp_path}/keys", certificate = "{certificate}", private_key = "{private}"'
    with GatewayProcess(tmp_path, judge.port, STATION.format(pictures=pictures, port=port, more=more)) as gateway:
        wait_for(lambda: gateway.station()["code"] == 43, "the certificate's code")
        assert not gateway.station()["ready"]
        (told, *_) = [event for event in gateway.events() if event["event"] == "certificate"]
        assert str(certificate) in told["detail"]
        assert "has expired on" in told["detail"]
        authority.sign("server")
        another = f"{private}: is not the key of the certificate"
        wait_for(lambda: another in {event.get("detail") for event in gateway.events()}, "the old key's fault")
        key_file.rename(private)
        gateway.wait_ready()
        (read,) = ask(port, "plc", key, "secure:{}:{}".format(*authority.sign("client")), "read")
        assert read["Ready"]
