"""The service as replicas on two nodes: what it answers, full, replaced under load, and with a node gone under load."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")

import ray
from ray import serve

from benchmarks.harness.connection import Answer, post_images
from benchmarks.harness.load import Tally, closed_loop
from benchmarks.harness.service_process import free_port
from service.cluster.application import ROUTER, deployment
from service.cluster.replica import settings_of

pytestmark = pytest.mark.long
SECONDS = 120
CLIENTS = 4


class Deployed(NamedTuple):
    """A running application, one replica on each of two nodes, behind one proxy on the head."""

    port: int
    arguments: dict[str, Any]
    doomed: Any  # a node

    def deploy(self, **options: Any) -> None:
        """Bring settings and options into force, as `serve deploy` does; returns when all replicas have them."""
        router = {"request_router_class": ROUTER, "request_router_kwargs": {"homes": 1}}
        options = {"num_replicas": 2, **options}
        wanted = deployment(settings_of(self.arguments)).options(request_router_config=router, **options)
        serve.run(wanted.bind(dict(self.arguments)), name="mkdserve")

    def ask(self, path: str, image: bytes | None = None, **headers: str) -> httpx.Response:
        """One request by a client of its own."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=SECONDS, trust_env=False) as client:
            if image is None:
                return client.get(path, headers=headers)
            return client.post(path, content=image, headers={"Content-Type": "image/png", **headers})

    def loop(self, images: list[bytes], clients: int = CLIENTS, **options: Any) -> Coroutine[Any, Any, Tally]:
        """Some clients that ask for both products in turn, without a pause."""
        requests = [post_images(f"/score?product={product}", images[:2]) for product in ("bolt", "tile")]
        return closed_loop(self.port, requests, clients=clients, **options)


@pytest.fixture(scope="module")
def deployed(cluster: Any, artifacts_folder: Path) -> Iterator[Deployed]:
    """In the order in which the tests stand in this file: each leaves replicas that answer."""
    with cluster.node() as doomed, cluster.node():
        ray.init(address=cluster.address, logging_level=logging.WARNING, log_to_driver=False)
        try:
            port = free_port()
            serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
            arguments = {"artifacts": str(artifacts_folder), "insecure_no_auth": True, "max_batch": 8, "watch_s": 0}
            made = Deployed(port, arguments, doomed)
            assert made.ask("/score", b"image").json()["code"] == "not_ready"
            made.deploy()
            yield made
            serve.shutdown()  # type: ignore[no-untyped-call]
        finally:
            ray.shutdown()


def test_a_verdict_is_the_plain_services(
    deployed: Deployed, client: httpx.Client, good_images: list[bytes], bad_image: bytes
) -> None:
    for product in ("bolt", "tile"):
        for image in (*good_images[:3], bad_image, b"no picture"):
            path = f"/localize?product={product}"
            here = client.post(path, content=image, headers={"Content-Type": "image/png"}).json()["results"]
            there = deployed.ask(path, image).json()["results"]
            assert [entry.get("error") for entry in there] == [entry.get("error") for entry in here]
            for ours, theirs in zip(there, here, strict=True):
                assert ours.get("score", 0) == pytest.approx(theirs.get("score", 0), rel=1e-5)
                for name in ("decision", "p_value", "threshold", "artifact", "image", "map_scale"):
                    assert ours.get(name) == theirs.get(name), name


def test_a_refusal_is_the_plain_services(deployed: Deployed, client: httpx.Client, good_images: list[bytes]) -> None:
    headers = {"Content-Type": "image/png", "X-Request-Id": "part-7"}
    here = client.post("/score?product=nut", content=good_images[0], headers=headers)
    there = deployed.ask("/score?product=nut", good_images[0], **{"X-Request-Id": "part-7"})
    assert (there.status_code, there.json()) == (here.status_code, here.json())
    assert there.headers["content-type"] == here.headers["content-type"]
    assert there.headers.get_list("x-request-id") == ["part-7"]
    assert deployed.ask("/readyz").json() == client.get("/readyz").json()


def test_each_product_keeps_to_its_home_and_one_page_shows_all_replicas(
    deployed: Deployed, good_images: list[bytes]
) -> None:
    before = decisions(deployed)
    for _ in range(6):
        for product in ("bolt", "tile"):
            assert deployed.ask(f"/score?product={product}", good_images[0]).status_code == 200
    after = decisions(deployed)
    for product in ("bolt", "tile"):
        more = {key: after[key] - before[key] for key in after if key[1] == product}
        assert sorted(more.values()) == [0, 6], more


def decisions(deployed: Deployed) -> Counter[tuple[str, str]]:
    """Verdicts by replica and product, from the one metrics page."""
    page = deployed.ask("/metrics").text
    assert len(re.findall(r'^mkd_ready\{replica="\w+"\} 1.0$', page, re.MULTILINE)) == 2
    found: Counter[tuple[str, str]] = Counter()
    for replica, labels, value in re.findall(r'^mkd_decisions_total\{replica="(\w+)",(.*)\} (.*)$', page, re.MULTILINE):
        product = re.search(r'product="(\w+)"', labels)
        assert product is not None
        found[replica, product[1]] += int(float(value))
    return found


def test_a_rolling_update_fails_no_request(deployed: Deployed, good_images: list[bytes]) -> None:
    assert deployed.ask("/openapi.json").status_code == 200

    async def updated() -> Tally:
        update = asyncio.create_task(asyncio.to_thread(deployed.deploy))
        tally = await deployed.loop(good_images, until=update.done)
        await update
        return tally

    deployed.arguments["openapi"] = False
    tally = asyncio.run(asyncio.wait_for(updated(), SECONDS))
    assert deployed.ask("/openapi.json").status_code == 404
    assert tally.unanswered == []
    assert tally.statuses.keys() == {200}
    assert tally.statuses[200] > CLIENTS


def test_where_rays_own_queue_is_full_the_answer_is_our_429(deployed: Deployed, good_images: list[bytes]) -> None:
    refusals: list[dict[str, Any]] = []

    def keep(number: int, answer: Answer) -> None:
        if answer.status != 200:
            refusals.append(json.loads(answer.body))

    deployed.deploy(max_ongoing_requests=1, max_queued_requests=1)
    tally = asyncio.run(deployed.loop(good_images, clients=16, count=80, keep=keep))
    deployed.deploy()
    assert tally.unanswered == []
    assert tally.statuses.keys() == {200, 429}
    assert {refusal["code"] for refusal in refusals} == {"overloaded"}


def test_replicas_come_and_go_with_the_load_and_no_request_fails(deployed: Deployed, good_images: list[bytes]) -> None:
    scaling = {
        "min_replicas": 1,
        "max_replicas": 2,
        "initial_replicas": 1,
        "target_ongoing_requests": 1,
        "upscale_delay_s": 0.5,
        "downscale_delay_s": 0.5,
        "look_back_period_s": 11.0,
    }
    deployed.deploy(num_replicas=None, autoscaling_config=scaling)
    assert replicas_after(lambda count: count == 1) == 1

    async def grown() -> Tally:
        growth = asyncio.create_task(asyncio.to_thread(replicas_after, lambda count: count == 2))
        tally = await deployed.loop(good_images, clients=2 * CLIENTS, until=growth.done)
        assert await growth == 2
        return tally

    tally = asyncio.run(asyncio.wait_for(grown(), SECONDS))
    assert tally.unanswered == []
    assert tally.statuses.keys() == {200}
    assert replicas_after(lambda count: count == 1) == 1
    assert deployed.ask("/score?product=bolt", good_images[0]).status_code == 200
    deployed.deploy()


def replicas_after(enough: Callable[[int], bool]) -> int:
    """How many replicas run, once that is `enough` or the time is over."""
    until = time.monotonic() + SECONDS / 2
    while True:
        (found,) = serve.status().applications["mkdserve"].deployments.values()
        states = {
            str(state): int(count) for state, count in found.replica_states.items()
        }  # plain text, whatever its type says
        running = states.get("RUNNING", 0)
        if (enough(running) and sum(states.values()) == running) or time.monotonic() > until:
            return running
        time.sleep(0.2)


def test_a_node_that_dies_leaves_every_request_answered(
    deployed: Deployed, cluster: Any, good_images: list[bytes]
) -> None:
    seen: list[int] = []

    def keep(number: int, answer: Answer) -> None:
        seen.append(answer.status)
        if len(seen) == 10:
            cluster.kill(deployed.doomed)

    tally = asyncio.run(asyncio.wait_for(deployed.loop(good_images, count=70, keep=keep), SECONDS))
    assert tally.unanswered == []
    assert tally.statuses.keys() <= {200, 503}
    assert tally.statuses.get(503, 0) <= CLIENTS  # those that the node had: their clients send them again
    assert seen[-1] == 200
