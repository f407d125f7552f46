"""SIGTERM while requests come and go: what is in flight is answered, newcomers find the door shut, exit code 0."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from benchmarks.harness.connection import post_images
from benchmarks.harness.load import Tally, closed_loop
from benchmarks.harness.service_process import ServiceProcess

CLIENTS = 8
ANSWERS_BEFORE_THE_SIGNAL = 40


def test_requests_in_flight_are_answered_and_the_exit_code_is_0(
    artifacts_folder: Path, flags: tuple[str, ...], good_images: list[bytes]
) -> None:
    requests = [post_images("/localize?product=bolt", good_images)]
    with ServiceProcess(artifacts_folder, *flags) as service:
        tally = asyncio.run(asyncio.wait_for(stop_under_load(service, requests), 120))
        assert service.wait() == 0
    events = service.events()
    assert tally.unanswered == []
    assert tally.statuses.keys() == {200}
    assert all(seen.verdicts == len(good_images) for seen in tally.answers)
    assert len(tally.answers) > ANSWERS_BEFORE_THE_SIGNAL
    drained = next(event for event in events if event["event"] == "drained")
    assert drained["left_images"] == 0


async def stop_under_load(service: ServiceProcess, requests: list[bytes]) -> Tally:
    """Clients ask until nobody listens any more."""
    answered: list[int] = []

    def count(number: int, answer: object) -> None:
        answered.append(number)
        if len(answered) == ANSWERS_BEFORE_THE_SIGNAL:
            service.signal(signal.SIGTERM)

    return await closed_loop(service.port, requests, clients=CLIENTS, keep=count)
