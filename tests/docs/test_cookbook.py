"""What of docs/cookbook.md no shell runs: C#, structured text, MQTT, Node-RED."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docs.runner import ROOT
from tests.e2e.gateway.broker import Broker, needs_mosquitto
from tests.e2e.gateway.conftest import judge
from tests.e2e.gateway.processes import FakeJudge, GatewayProcess

__all__ = ["judge"]

PAGE = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
needs_clients = pytest.mark.skipif(
    shutil.which("mosquitto_rr") is None or shutil.which("jq") is None, reason="needs mosquitto-clients and jq"
)
CORE_NODES = {"tab", "inject", "file in", "function", "http request", "catch", "debug"}


def fenced(language: str) -> list[str]:
    """The blocks of the page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("mcs") is None and shutil.which("csc") is None, reason="needs mcs or csc")
def test_the_c_sharp_compiles(tmp_path: Path) -> None:
    (source,) = fenced("csharp")
    (tmp_path / "Inspection.cs").write_text(source, encoding="utf-8")
    compiler = shutil.which("mcs") or shutil.which("csc")
    assert compiler is not None
    needed = ["-r:System.Net.Http.dll", "-r:System.Runtime.Serialization.dll", "-warnaserror"]
    command = [compiler, *needed, "-out:Inspection.exe", "Inspection.cs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_structured_text_calls_the_function_block_by_its_own_names_and_sizes() -> None:
    (program,) = fenced("iecst")
    block = (ROOT / "examples" / "line_handshake.st").read_text(encoding="utf-8")
    inputs = re.search(r"VAR_INPUT(.*?)END_VAR", block, re.DOTALL)
    outputs = re.search(r"VAR_OUTPUT(.*?)END_VAR", block, re.DOTALL)
    assert inputs is not None
    assert outputs is not None
    call = re.search(r"Inspect\((.*?)\);", program)
    assert call is not None
    assert re.findall(r"(\w+)\s*:=", call[1]) == re.findall(r"^\s*(\w+)\s*:", inputs[1], re.MULTILINE)
    assert set(re.findall(r"Inspect\.(\w+)", program)) <= set(re.findall(r"^\s*(\w+)\s*:", outputs[1], re.MULTILINE))
    for name, words in (("MkdResult", inputs[1]), ("MkdCommand", outputs[1])):
        size = re.search(rf"{name}\s*: (ARRAY \[\d+\.\.\d+\] OF WORD)", program)
        assert size is not None
        assert size[1] in words


@needs_mosquitto
@needs_clients
@pytest.mark.parametrize(("picture", "words"), [(b"GOOD", "accept"), (b"NG", "reject")])
def test_the_commands_for_mqtt_accept_what_is_ok_alone(
    judge: FakeJudge, tmp_path: Path, picture: bytes, words: str
) -> None:
    pytest.importorskip("aiomqtt", reason="needs aiomqtt: pip install 'mkdserve[mqtt]'")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(picture)
    broker = Broker(tmp_path)
    (settings,) = (text for text in fenced("toml") if 'kind = "mqtt"' in text)
    station = "[[station]]" + settings.partition("[[station]]")[2].replace("1883", str(broker.port))
    station = station.replace('"pictures"', f'"{tmp_path}/pictures"').replace('screw = "screw"', 'screw = "bolt"')
    (command,) = (text for text in fenced("sh") if "mosquitto_rr" in text)
    broker.start()
    try:
        with GatewayProcess(tmp_path, judge.port, station) as gateway:
            gateway.wait_ready()
            shell = ["bash", "-c", command.replace("1883", str(broker.port))]
            done = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=60)
    finally:
        broker.stop()
    assert done.stdout.split() == [words], done.stdout + done.stderr


@needs_clients
@pytest.mark.parametrize(("tool", "port"), [("mosquitto_rr", "1883"), ("curl", "8000")])
@pytest.mark.parametrize("options", ["", "set -euo pipefail\n"])
def test_the_commands_reject_where_nobody_answers(tmp_path: Path, tool: str, port: str, options: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(b"picture")
    (command,) = (text for text in fenced("sh") if tool in text)
    shell = ["bash", "-c", options + command.replace(port, "1")]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "accept" not in done.stdout
    assert done.stdout.split()[-1:] == ["reject"] or done.returncode != 0


def flow() -> dict[str, dict[str, Any]]:
    (text,) = fenced("json")
    return {node["id"]: node for node in json.loads(text)}


def test_the_flow_of_node_red_is_whole() -> None:
    nodes = flow()
    assert {node["type"] for node in nodes.values()} == CORE_NODES
    for node in nodes.values():
        targets = [target for output in node.get("wires", []) for target in output]
        assert set(targets) <= set(nodes)
        if node["type"] != "tab":
            assert nodes[node["z"]]["type"] == "tab"
            assert len(node["wires"]) == node.get("outputs", 0 if node["type"] == "debug" else 1)
        assert set(node.get("scope", [])) <= set(nodes)
    assert [nodes[output[0]]["name"] for output in nodes["mkd-only-ok"]["wires"]] == ["accept", "reject"]


SOUND = {"product": "screw", "decision": "OK", "score": 0.2, "threshold": 0.8}
ANSWERS = [
    (200, {"results": [SOUND]}, True),
    (200, {"results": [SOUND | {"decision": "NG"}]}, False),
    (200, {"results": [SOUND | {"decision": "REVIEW"}]}, False),
    (200, {"results": [SOUND | {"score": 0.9}]}, False),
    (200, {"results": [SOUND | {"score": None, "threshold": None, "error": {"code": "image_unreadable"}}]}, False),
    (200, {"results": [SOUND | {"score": None, "threshold": None}]}, False),
    (200, {"results": [SOUND | {"product": "bolt"}]}, False),
    (200, {"results": [{key: value for key, value in SOUND.items() if key != "score"}]}, False),
    (200, {"results": []}, False),
    (200, {"results": [SOUND, SOUND]}, False),
    (200, {}, False),
    (200, None, False),
    (503, {"results": [SOUND]}, False),
]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_functions_of_node_red_accept_what_is_ok_alone() -> None:
    nodes = flow()
    messages: list[dict[str, Any]] = [
        {"statusCode": status, "payload": json.dumps(body), "product": "screw"} for status, body, _ in ANSWERS
    ]
    messages += [{"error": {"message": "ECONNREFUSED"}, "product": "screw"}]
    messages += [{**messages[0], "error": {"message": "late"}}, {"statusCode": 200, "payload": "<html>OK</html>"}, {}]
    program = (
        "const [ask, judge, messages] = JSON.parse(require('fs').readFileSync(0));\n"
        "const run = (text, msg) => new Function('msg', text)(msg);\n"
        "const asked = run(ask, {payload: 'x'});\n"
        "console.log(JSON.stringify([asked, messages.map(msg => run(judge, msg).map(out => out !== null))]));\n"
    )
    given = json.dumps([nodes["mkd-ask"]["func"], nodes["mkd-only-ok"]["func"], messages])
    done = subprocess.run(["node", "-e", program], input=given, capture_output=True, text=True, check=True)
    asked, outputs = json.loads(done.stdout)
    assert asked["url"] == "http://127.0.0.1:8000/score?product=screw"
    assert asked["requestTimeout"] == int(asked["headers"]["X-Deadline-Ms"])
    expected = [ok for _, _, ok in ANSWERS] + [False] * 4
    assert outputs == [[ok, not ok] for ok in expected]
