"""The whole way once: a part over Modbus, judged by the real service with a tiny real artifact."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from benchmarks.harness.service_process import ServiceProcess
from tests.e2e.gateway.plc import Plc
from tests.e2e.gateway.processes import GatewayProcess
from tests.e2e.gateway.test_plc_protocols import STATION, ModbusMaster

pytest.importorskip("pymodbus", reason="needs pymodbus: pip install 'mkdserve[modbus]'")


def test_the_plc_reads_the_score_that_the_service_gives(
    service: ServiceProcess, good_images: list[bytes], bad_image: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate((good_images[0], bad_image)):
        (folder / f"{number}.png").write_bytes(image)
    peer = ModbusMaster()
    stations = STATION.format(pictures=folder, link=peer.link).replace("2000", "20000")
    with GatewayProcess(tmp_path, service.port, stations) as gateway:
        plc = Plc(peer.words())
        plc.put()
        seen = [plc.inspect(number) for number in (1, 2)]
        (folder / "0.png").write_bytes(b"no picture")
        unreadable = plc.inspect(3)
    peer.stop()
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60, trust_env=False) as client:
        for part, image in zip(seen, (good_images[0], bad_image), strict=True):
            answer = client.post("/score?product=bolt", content=image, headers={"Content-Type": "image/png"})
            (entry,) = answer.json()["results"]
            assert part.score == pytest.approx(entry["score"], rel=1e-4)
            assert part.decision == entry["decision"]
            assert part.code == 0
    assert (unreadable.decision, unreadable.code) == ("NG", 22)
    (judged,) = [
        event for event in gateway.events() if event.get("trigger_id") == 1 and event["event"] == "line answer"
    ]
    (logged,) = [event for event in service.events() if event.get("request_id") == judged["request_id"]]
    assert "press" in str(logged)
