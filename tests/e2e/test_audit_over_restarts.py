"""The real service writes its audit trail: complete after SIGTERM, whole after a kill, one chain over restarts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness.service_process import ServiceFailed, ServiceProcess
from service.audit.__main__ import main

PER_RUN = 5


def ask(service: ServiceProcess, images: list[bytes], run: str) -> list[dict[str, Any]]:
    """The entries of as many requests, each with its request id."""
    entries = []
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=120, trust_env=False) as client:
        for number, image in enumerate(images):
            headers = {"Content-Type": "image/png", "X-Request-Id": f"{run}-{number}", "X-Line": "7"}
            answer = client.post("/score?product=bolt", content=image, headers=headers)
            entries.append(answer.json()["results"][0])
    return entries


def test_the_chain_goes_on_over_restarts_and_the_log_proves_its_end(
    artifacts_folder: Path, flags: tuple[str, ...], good_images: list[bytes], bad_image: bytes, tmp_path: Path
) -> None:
    folder, log = tmp_path / "audit", tmp_path / "service.log"
    audit = ("--audit-folder", str(folder), "--audit-images", "ng+review")
    images = [*good_images[: PER_RUN - 1], bad_image]

    with ServiceProcess(artifacts_folder, *flags, *audit) as service:
        entries = ask(service, images, "first")
        service.signal(signal.SIGTERM)  # while the last records may still wait
        assert service.wait() == 0
        log.write_text(service.log())
    assert main(["verify", str(folder), "--log", str(log), "--strict", "--images"]) == 0
    cut = shutil.copytree(folder, tmp_path / "cut")
    cut_two_records(cut)
    assert main(["verify", str(cut)]) == 0  # a chain alone cannot show it
    assert main(["verify", str(cut), "--log", str(log)]) == 1

    entries += asked_and_killed(ServiceProcess(artifacts_folder, *flags, *audit), images)
    assert main(["verify", str(folder), "--log", str(log)]) == 0
    assert main(["verify", str(folder), "--strict"]) == 1  # that it was killed shows

    records = shown(folder)
    assert [record["request_id"] for record in records] == [
        f"{run}-{number}" for run in ("first", "second") for number in range(PER_RUN)
    ]
    for record, entry, image in zip(records, entries, images * 2, strict=True):
        assert record["image_sha256"] == hashlib.sha256(image).hexdigest()
        assert record["context"] == {"line": "7"}
        for name in ("product", "artifact", "score", "p_value", "threshold", "threshold_origin", "decision"):
            assert record[name] == entry[name]
        assert ("image_file" in record) == (entry["decision"] != "OK")


def asked_and_killed(process: ServiceProcess, images: list[bytes]) -> list[dict[str, Any]]:
    """The entries of a service that is killed as soon as it has written their records."""
    with contextlib.suppress(ServiceFailed), process as service:  # exit code -9
        entries = ask(service, images, "second")
        while service.metric('mkd_audit_records_total{outcome="written"}') < PER_RUN:
            assert service.metric('mkd_audit_failures_total{reason="disk_error"}') == 0
        service.signal(signal.SIGKILL)
    assert process.exit_code == -signal.SIGKILL
    return entries


def shown(folder: Path) -> list[dict[str, Any]]:
    """What `mkd-audit show` prints, as a program of its own."""
    command = [sys.executable, "-m", "service.audit", "show", str(folder)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def cut_two_records(folder: Path) -> None:
    """Take away the end of the newest file: the last verdict and the stop."""
    newest = max((folder / "chain-00").glob("*.jsonl"))
    newest.write_bytes(b"".join(newest.read_bytes().splitlines(keepends=True)[:-2]))
