"""The OPC UA server against asyncua's client in another process."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.auth import new_key
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


def ask(port: int, user: str, password: str, *commands: str) -> list[dict[str, Any]]:
    """What the client says to each command, an empty list where it is not let in."""
    url = f"opc.tcp://127.0.0.1:{port}/mkd/press"
    command = [sys.executable, "-m", "tests.e2e.gateway.opcua_client", url, user, password, *commands]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_jobs_events_recipes_and_rights(judge: FakeJudge, pictures: Path, tmp_path: Path, key: str) -> None:
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


def test_a_certificate_that_has_expired_is_told_and_its_successor_is_taken_without_a_restart(
    judge: FakeJudge, pictures: Path, tmp_path: Path, key: str
) -> None:
    port = free_port()
    write_certificate(tmp_path, days=-1)
    more = f'keys_file = "{tmp_path}/keys", certificate = "{tmp_path}/cert.pem", private_key = "{tmp_path}/key.pem"'
    with GatewayProcess(tmp_path, judge.port, STATION.format(pictures=pictures, port=port, more=more)) as gateway:
        wait_for(lambda: gateway.station()["code"] == 43, "the certificate's code")
        assert not gateway.station()["ready"]
        write_certificate(tmp_path, days=30)
        gateway.wait_ready()


def write_certificate(folder: Path, days: int) -> None:
    """A self-signed certificate that ends in so many days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mkd-line")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=60))
    certificate = builder.not_valid_after(now + datetime.timedelta(days=days)).sign(private, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    key = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
