"""A worker killed ten times under load: every request is answered, and the service is ready again each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.harness.connection import post_images
from benchmarks.harness.service_process import ServiceProcess
from benchmarks.worker_deaths import DEATHS, DOCUMENTED, MORTAL, deaths_under_load

KILLS = 10


def test_every_request_is_answered_and_the_service_gets_ready_again(
    artifacts_folder: Path, flags: tuple[str, ...], good_images: list[bytes]
) -> None:
    requests = [post_images("/score?product=bolt", [image]) for image in good_images]
    with ServiceProcess(artifacts_folder, *flags, module=MORTAL) as service:
        tally, seconds = asyncio.run(deaths_under_load(service, requests, clients=6, deaths=KILLS))
        lost = service.metric(DEATHS)
        assert service.is_ready()
    assert tally.unanswered == []
    assert tally.statuses.keys() <= DOCUMENTED
    assert tally.statuses[200] > KILLS
    assert lost == len(seconds) == KILLS
    assert service.exit_code == 0
