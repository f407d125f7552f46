"""Triggers by HTTP with every fault of the judge, and webhooks to the example's receiver, over kills of both sides."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway.processes import DIRECT, FakeJudge, GatewayProcess, Process, free_port, wait_for

SECRET = "a secret of the test"
STATION = """
[[station]]
name = "press"
window_ms = 1000
recipes = { bolt = "bolt" }
link = { kind = "http" }
"""


def trigger(gateway: GatewayProcess, body: bytes, number: int = 1, recipe: str = "bolt") -> dict[str, Any]:
    url = f"http://127.0.0.1:{gateway.port}/stations/press/trigger?recipe={recipe}&trigger_id={number}"
    request = urllib.request.Request(url, body, {"Content-Type": "image/png"})
    with DIRECT.open(request, timeout=20) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


FAULTS = [
    (b"429", 32),
    (b"503", 33),
    (b"504", 34),
    (b"404", 35),
    (b"500", 37),
    (b"SLOW", 30),
    (b"JUNK", 38),
    (b"NAN", 38),
    (b"SIZE", 24),
    (b"DEPTH", 24),
]


def test_good_bad_and_every_fault_of_the_judge(judge: FakeJudge, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, judge.port, STATION) as gateway:
        gateway.wait_ready()
        good, bad = trigger(gateway, b"GOOD", 4294967295), trigger(gateway, b"NG", 2)
        assert (good["decision"], good["ok"], good["trigger_id"], good["artifact"]) == (
            "OK",
            True,
            4294967295,
            "abcdef0123",
        )
        assert (bad["decision"], bad["ok"], bad["code"]) == ("NG", False, 0)
        for body, code in FAULTS:
            gateway.wait_ready()
            said = trigger(gateway, body)
            assert (said["decision"], said["ok"], said["code"]) == ("REJECT", False, code), body
        assert trigger(gateway, b"GOOD", recipe="nut")["code"] == 12
        assert trigger(gateway, b"")["code"] == 22
        gateway.wait_ready()
        assert trigger(gateway, b"GOOD")["ok"]
        answers = [event for event in gateway.events() if event["event"] == "line answer"]
        assert len(answers) == 15
        assert {event["trigger_id"] for event in answers} >= {4294967295, 2}


@pytest.mark.parametrize("query", ["trigger_id=-1", "trigger_id=4294967296", "trigger_id=1&recipes=bolt"])
def test_a_request_that_cannot_be_read_is_refused_and_starts_nothing(
    judge: FakeJudge, tmp_path: Path, query: str
) -> None:
    with GatewayProcess(tmp_path, judge.port, STATION) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/stations/press/trigger?{query}"
        with pytest.raises(urllib.error.HTTPError) as refused:
            DIRECT.open(urllib.request.Request(url, b"GOOD"), timeout=10)
        assert refused.value.code == 422
        refused.value.close()
        assert gateway.station()["result"] == 0


def test_a_judge_that_is_killed_or_frozen_means_reject_and_its_return_means_ready(
    own_judge: FakeJudge, tmp_path: Path
) -> None:
    with GatewayProcess(tmp_path, own_judge.port, STATION) as gateway:
        gateway.wait_ready()
        own_judge.freeze()
        frozen = trigger(gateway, b"GOOD")
        assert (frozen["ok"], frozen["code"]) in [(False, 30), (False, 31)]
        own_judge.thaw()
        gateway.wait_ready()
        own_judge.kill()
        dead = trigger(gateway, b"GOOD")
        assert (dead["ok"], dead["code"]) == (False, 31)
        wait_for(lambda: not gateway.station()["ready"], "the loss of the judge")
        own_judge.start()
        gateway.wait_ready()
        assert trigger(gateway, b"GOOD")["ok"]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "secret").write_text(SECRET + "\n", encoding="utf-8")
    port = free_port()
    made = Process(
        tmp_path / "receiver.log", "examples.webhook_receiver", str(tmp_path / "secret"), "--port", str(port)
    )
    made.port = port  # type: ignore[attr-defined]
    with made:
        yield made


def received(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.text().splitlines() if line.startswith("{")]


def webhook(tmp_path: Path, port: int, secret: str = "secret") -> str:
    return (
        f'[[output]]\nkind = "webhook"\nname = "mes"\nurl = "http://127.0.0.1:{port}/"\n'
        f'secret = {{ file = "{tmp_path}/{secret}" }}\n{STATION}'
    )


def test_answers_reach_the_receiver_once_over_its_absence_and_a_kill_of_the_gateway(
    judge: FakeJudge, receiver: Process, tmp_path: Path
) -> None:
    port = receiver.port  # type: ignore[attr-defined]
    with GatewayProcess(tmp_path, judge.port, webhook(tmp_path, port)) as gateway:
        gateway.wait_ready()
        trigger(gateway, b"GOOD", 1)
        wait_for(lambda: len(received(receiver)) == 1, "the first message")
        receiver.kill()
        trigger(gateway, b"NG", 2)
        trigger(gateway, b"GOOD", 3)
        wait_for(lambda: gateway.metric('mkd_line_spool_messages{output="mes"}') == 2, "the first message to leave")
        gateway.kill()
        receiver.start()
        gateway.start()
        wait_for(lambda: len(received(receiver)) == 3, "the messages of before the kill")
        assert [(one["trigger_id"], one["decision"]) for one in received(receiver)] == [(1, "OK"), (2, "NG"), (3, "OK")]
        wait_for(lambda: gateway.metric('mkd_line_spool_messages{output="mes"}') == 0, "an empty spool")


def test_a_receiver_with_another_secret_refuses_and_the_message_is_given_up_and_counted(
    judge: FakeJudge, receiver: Process, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("another secret", encoding="utf-8")
    port = receiver.port  # type: ignore[attr-defined]
    with GatewayProcess(tmp_path, judge.port, webhook(tmp_path, port, "wrong")) as gateway:
        gateway.wait_ready()
        trigger(gateway, b"GOOD", 1)
        refused = 'mkd_line_messages_total{outcome="refused",output="mes"}'
        wait_for(lambda: gateway.metric(refused) == 1, "the refusal")
        assert received(receiver) == []
