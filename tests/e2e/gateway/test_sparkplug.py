"""Answers as Sparkplug B through mosquitto, read by a host that has the schema from the specification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pysparkplug", reason="needs pysparkplug: pip install 'mkdserve[sparkplug]'")

from tests.e2e.gateway.broker import Broker, needs_mosquitto
from tests.e2e.gateway.processes import FakeJudge, GatewayProcess, wait_for
from tests.e2e.gateway.sparkplug_host import Host
from tests.e2e.gateway.test_http_and_webhook import STATION, trigger

pytestmark = needs_mosquitto
WAITING = 'mkd_line_spool_messages{output="scada"}'


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    made.start()
    yield made
    made.stop()


def output(broker: Broker, more: str = "") -> str:
    named = f'[[output]]\nkind = "sparkplug"\nname = "scada"\nnode = "hall-3"\n{more}\n'
    return named + f"broker = {{ port = {broker.port} }}\n"


def test_birth_data_and_death_are_read_by_the_schema_of_the_specification(
    broker: Broker, judge: FakeJudge, tmp_path: Path
) -> None:
    host = Host(broker.port)
    with GatewayProcess(tmp_path, judge.port, output(broker) + STATION) as gateway:
        gateway.wait_ready()
        birth = host.wait("NBIRTH", 1)
        assert (birth.seq, birth.metrics["press/Ok"], birth.metrics["press/Decision"]) == (0, False, "REJECT")
        assert birth.metrics["press/Score"] is None
        assert (birth.types["press/Ok"], birth.types["press/Score"], birth.types["bdSeq"]) == (11, 10, 4)
        assert all(birth.types.values())
        trigger(gateway, b"GOOD", 1)
        trigger(gateway, b"NG", 2)
        good, bad = host.wait("NDATA", 1), host.wait("NDATA", 2)
        assert set(good.metrics) == {name for name in birth.metrics if name.startswith("press/")}
        assert (good.seq, good.metrics["press/Ok"], good.metrics["press/TriggerId"]) == (1, True, 1)
        assert (good.metrics["press/Score"], good.metrics["press/Threshold"]) == (0.5, 2.0)
        assert (bad.seq, bad.metrics["press/Ok"], bad.metrics["press/Decision"]) == (2, False, "NG")
        assert not bad.is_historical
        host.say_nonsense()
        host.ask_for_rebirth()
        again = host.wait("NBIRTH", 2)
        assert (again.seq, again.metrics["bdSeq"]) == (0, birth.metrics["bdSeq"])
        gateway.kill()
        assert host.wait("NDEATH", 1).metrics == {"bdSeq": birth.metrics["bdSeq"]}
        gateway.start()
        gateway.wait_ready()
        host.wait("NBIRTH", 3)
        assert gateway.stop() == 0
        assert host.wait("NDEATH", 2).seq is None
    host.close()


def test_answers_wait_for_the_broker_and_come_as_historical(broker: Broker, judge: FakeJudge, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, judge.port, output(broker) + STATION) as gateway:
        gateway.wait_ready()
        host = Host(broker.port)
        host.ask_for_rebirth()
        first = host.wait("NBIRTH", 1)
        host.close()
        broker.stop()
        trigger(gateway, b"GOOD", 1)
        assert gateway.metric(WAITING) == 1
        broker.start()
        host = Host(broker.port)
        late = host.wait("NDATA", 1)
        assert (late.metrics["press/TriggerId"], late.is_historical) == (1, True)
        host.ask_for_rebirth()  # the birth that came before this host had subscribed
        assert host.wait("NBIRTH", len(host.of("NBIRTH")) + 1).metrics["bdSeq"] > first.metrics["bdSeq"]
        host.close()


def test_nothing_is_said_while_the_primary_host_is_offline(broker: Broker, judge: FakeJudge, tmp_path: Path) -> None:
    host = Host(broker.port)
    with GatewayProcess(tmp_path, judge.port, output(broker, 'primary_host = "scada"') + STATION) as gateway:
        gateway.wait_ready()
        trigger(gateway, b"GOOD", 1)
        assert (gateway.metric(WAITING), host.of("NBIRTH")) == (1, [])
        host.be(online=True, at=1000)
        assert host.wait("NDATA", 1).is_historical
        host.be(online=False, at=900)  # a will of an earlier session of the host, late
        trigger(gateway, b"GOOD", 2)
        assert not host.wait("NDATA", 2).is_historical
        host.be(online=False, at=2000)
        host.wait("NDEATH", 1)
        trigger(gateway, b"NG", 3)
        assert gateway.metric(WAITING) == 1
        host.be(online=True, at=3000)
        assert host.wait("NDATA", 3).metrics["press/TriggerId"] == 3
        wait_for(lambda: gateway.metric(WAITING) == 0, "an empty spool")
    host.close()
