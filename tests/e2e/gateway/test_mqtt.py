"""Triggers and results by MQTT 5 against mosquitto, which is restarted in between."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway.broker import Broker, needs_mosquitto
from tests.e2e.gateway.certificates import Authority
from tests.e2e.gateway.processes import FakeJudge, GatewayProcess, wait_for

mqtt = pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install 'mkdserve[mqtt]'")
pytest.importorskip("aiomqtt", reason="needs aiomqtt: pip install 'mkdserve[mqtt]'")
pytestmark = needs_mosquitto

STATION = """
[[station]]
name = "press"
window_ms = 2000
recipes = {{ bolt = "bolt", tile = "tile" }}
source = {{ kind = "files", folder = "{pictures}" }}
link = {{ {link} }}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    made.start()
    yield made
    made.stop()


class Client:
    """A computer of the plant: asks, and hears what is said on `mkd/#` and on its own answers."""

    def __init__(self, broker: Broker, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[tuple[str, bytes, Any]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = lambda *given: self.heard.append(
            (given[2].topic, given[2].payload, given[2].properties)
        )
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        if tls is not None:
            self._client.tls_set_context(tls)
            self._client.username_pw_set("plant", "secret")
        wait_for(lambda: self._client.connect("127.0.0.1", broker.port) == 0, "the broker")
        self._client.loop_start()
        self._client.subscribe([("mkd/#", mqtt.SubscribeOptions(qos=1)), ("answers", mqtt.SubscribeOptions(qos=1))])
        assert subscribed.wait(10)

    def ask(self, number: int, payload: object) -> None:
        """A request whose correlation data is `number`."""
        given = mqtt.Properties(mqtt.PacketTypes.PUBLISH)
        given.ResponseTopic, given.CorrelationData = "answers", str(number).encode()
        self._client.publish("mkd/press/request", json.dumps(payload), qos=1, properties=given)

    def answer(self, number: int) -> dict[str, Any]:
        data = str(number).encode()

        def found() -> bytes | None:
            return next((one[1] for one in self.heard if one[0] == "answers" and one[2].CorrelationData == data), None)

        said: dict[str, Any] = json.loads(wait_for(found, f"the answer to {number}"))
        return said

    def confirm(self, number: str) -> None:
        self._client.publish("mkd/confirm/results", number, qos=1)

    def of(self, topic: str) -> list[bytes]:
        return [payload for name, payload, _ in self.heard if name == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = self._client.on_subscribe = None
        del self._client  # which closes its sockets


def test_requests_are_answered_where_they_asked_and_the_state_has_a_last_will(
    broker: Broker, judge: FakeJudge, pictures: Path, tmp_path: Path
) -> None:
    stations = STATION.format(pictures=pictures, link=f'kind = "mqtt", broker = {{ port = {broker.port} }}')
    client = Client(broker)
    with GatewayProcess(tmp_path, judge.port, stations) as gateway:
        gateway.wait_ready()
        client.ask(1, {"recipe": "bolt", "trigger_id": 7, "part_id": "p-7"})
        good = client.answer(1)
        assert (good["decision"], good["ok"], good["trigger_id"], good["part_id"]) == ("OK", True, 7, "p-7")
        client.ask(2, {"recipe": "tile"})
        assert client.answer(2)["decision"] == "NG"
        client.ask(3, {"recipe": "nut"})
        assert client.answer(3)["code"] == 12
        client.ask(4, ["nonsense"])
        assert client.answer(4)["ok"] is False
        assert client.of("mkd/press/state")[-1] == b"online"
        gateway.kill()
        wait_for(lambda: client.of("mkd/press/state")[-1] == b"offline", "the last will")
        gateway.start()
        gateway.wait_ready()
        assert gateway.stop() == 0
        wait_for(lambda: client.of("mkd/press/state")[-1] == b"offline", "the farewell")
    client.close()


def test_a_broker_that_is_restarted_is_found_again(
    broker: Broker, judge: FakeJudge, pictures: Path, tmp_path: Path
) -> None:
    stations = STATION.format(pictures=pictures, link=f'kind = "mqtt", broker = {{ port = {broker.port} }}')
    with GatewayProcess(tmp_path, judge.port, stations) as gateway:
        gateway.wait_ready()
        broker.stop()
        wait_for(lambda: gateway.station()["code"] == 40, "the loss of the broker")
        broker.start()
        gateway.wait_ready()
        client = Client(broker)
        client.ask(1, {"recipe": "bolt"})
        assert client.answer(1)["ok"]
        client.close()


def test_tls_with_user_and_certificate_and_a_certificate_that_has_expired(
    judge: FakeJudge, pictures: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    server, server_key = authority.sign("broker", days=-1)
    own, own_key = authority.sign("gateway", days=-1)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "users").write_text("plant:secret\n")
    subprocess.run(["mosquitto_passwd", "-U", tmp_path / "users"], check=True)
    asks_for = f"password_file {tmp_path}/users\nallow_anonymous false\nrequire_certificate true"
    files = f"cafile {authority.file}\ncertfile {server}\nkeyfile {server_key}"
    broker = Broker(tmp_path, f"{files}\n{asks_for}")
    broker.start()
    to = (
        f'port = {broker.port}, user = "plant", password = {{ file = "{tmp_path}/password" }}, '
        f'ca_file = "{authority.file}", certificate = "{own}", private_key = "{own_key}"'
    )
    stations = STATION.format(pictures=pictures, link=f'kind = "mqtt", broker = {{ {to} }}')
    with GatewayProcess(tmp_path, judge.port, stations) as gateway:
        wait_for(lambda: f"{own}: has expired on" in gateway.text(), "the gateway's own certificate by its name")
        wait_for(lambda: gateway.station()["code"] == 43, "the code of a certificate")
        authority.sign("gateway")
        wait_for(lambda: "certificate has expired" in gateway.text(), "the broker's certificate")
        assert gateway.station()["code"] == 43
        broker.stop()
        authority.sign("broker")
        broker.start()
        gateway.wait_ready()
        tls = ssl.create_default_context(cafile=authority.file)
        tls.load_cert_chain(own, own_key)
        client = Client(broker, tls)
        client.ask(1, {"recipe": "bolt"})
        assert client.answer(1)["ok"]
        client.close()
    broker.stop()


@pytest.mark.parametrize("confirm", [False, True])
def test_results_wait_for_the_broker_and_where_asked_for_a_subscribers_word(
    broker: Broker, judge: FakeJudge, tmp_path: Path, confirm: bool
) -> None:
    from tests.e2e.gateway.test_http_and_webhook import STATION as BY_HTTP
    from tests.e2e.gateway.test_http_and_webhook import trigger

    output = (
        f'[[output]]\nkind = "mqtt"\nname = "results"\nconfirm = {str(confirm).lower()}\nconfirm_ms = 400\n'
        f"broker = {{ port = {broker.port} }}\n"
    )
    broker.stop()
    with GatewayProcess(tmp_path, judge.port, output + BY_HTTP) as gateway:
        gateway.wait_ready()
        trigger(gateway, b"GOOD", 1)
        trigger(gateway, b"NG", 2)
        waiting = 'mkd_line_spool_messages{output="results"}'
        assert gateway.metric(waiting) == 2
        gateway.freeze()  # else it could be there before the subscriber
        broker.start()
        client = Client(broker)
        gateway.thaw()
        if confirm:
            wait_for(lambda: len(client.of("mkd/press/result")) >= 3, "a message that is sent again")
            assert gateway.metric(waiting) == 2
            until = time.monotonic() + 20
            while gateway.metric(waiting) and time.monotonic() < until:
                for number in ("1", "2"):
                    client.confirm(number)
                time.sleep(0.1)
        wait_for(lambda: gateway.metric(waiting) == 0, "an empty spool")
        seen = {json.loads(payload)["trigger_id"]: json.loads(payload)["decision"] for payload in
                client.of("mkd/press/result")}  # fmt: skip
        assert seen == {1: "OK", 2: "NG"}
        client.close()
