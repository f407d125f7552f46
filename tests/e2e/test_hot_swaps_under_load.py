"""Fifty hot swaps under load: no request fails, and no verdict mixes two versions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.harness.connection import Answer, post_images
from benchmarks.harness.load import Tally, closed_loop
from benchmarks.harness.service_process import ServiceProcess
from models.artifact import load_artifact, write_artifact

SWAPS = 50
CLIENTS = 6
Known = dict[str, dict[str, object]]  # version -> hash, and the score of each image


@pytest.fixture
def two_versions(artifacts_folder: Path, tmp_path: Path) -> Path:
    """A folder with the product `part` in versions 1 and 2: two heads that score otherwise."""
    for version, name in (("1", "bolt"), ("2", "tile")):
        made = load_artifact(artifacts_folder / name)
        manifest = made.manifest.model_copy(update={"product": "part", "version": version})
        golden = [(made.path / record.file).read_bytes() for record in made.manifest.golden]
        write_artifact(tmp_path / "part" / version, manifest, made.head, golden)
    return tmp_path


def test_no_request_fails_and_no_verdict_is_of_a_mixed_version(
    two_versions: Path, flags: tuple[str, ...], good_images: list[bytes]
) -> None:
    requests = [post_images("/score?product=part", [image]) for image in good_images]
    with ServiceProcess(two_versions, *flags) as service:
        known = {version: activate_and_ask(service, version, requests) for version in ("1", "2")}
        answers: list[tuple[int, Answer]] = []
        tally = asyncio.run(swap_under_load(service, requests, answers))
        swaps = service.metric('mkd_swaps_total{product="part"}')
    assert tally.unanswered == []
    assert tally.statuses.keys() == {200}
    assert swaps >= SWAPS
    seen = {check(number % len(requests), answer, known) for number, answer in answers}
    assert seen == {"1", "2"}


def activate_and_ask(service: ServiceProcess, version: str, requests: list[bytes]) -> dict[str, object]:
    """What every verdict of this version must say."""
    service.post("/admin/products/part/activate", {"version": version})
    answers: list[tuple[int, Answer]] = []
    asyncio.run(collect(service, requests, answers))
    entries = {number: json.loads(answer.body)["results"][0] for number, answer in answers}
    assert {entry["artifact"]["version"] for entry in entries.values()} == {version}
    scores = [entries[number]["score"] for number in range(len(requests))]
    return {"hash": entries[0]["artifact"]["hash"], "threshold": entries[0]["threshold"], "scores": scores}


async def collect(service: ServiceProcess, requests: list[bytes], answers: list[tuple[int, Answer]]) -> None:
    await closed_loop(
        service.port,
        requests,
        clients=1,
        count=len(requests),
        keep=lambda number, answer: answers.append((number, answer)),
    )


async def swap_under_load(service: ServiceProcess, requests: list[bytes], answers: list[tuple[int, Answer]]) -> Tally:
    over = asyncio.Event()
    load = asyncio.create_task(
        closed_loop(
            service.port,
            requests,
            clients=CLIENTS,
            until=over.is_set,
            keep=lambda number, answer: answers.append((number, answer)),
        )
    )
    try:
        for number in range(SWAPS):
            body = {"version": str(1 + number % 2)}
            await asyncio.to_thread(service.post, "/admin/products/part/activate", body)
    finally:
        over.set()
        tally = await load
    return tally


def check(number: int, answer: Answer, known: Known) -> str:
    """The version that a verdict names; its hash, threshold and score must all be of that one."""
    (entry,) = json.loads(answer.body)["results"]
    version = str(entry["artifact"]["version"])
    expected = known[version]
    scores = expected["scores"]
    assert isinstance(scores, list)
    assert entry["artifact"]["hash"] == expected["hash"]
    assert entry["threshold"] == expected["threshold"]
    assert entry["score"] == pytest.approx(scores[number], rel=1e-4)
    return version
