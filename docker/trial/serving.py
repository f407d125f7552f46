"""An image and artifacts in; whether its service judges, keeps what it finds, stops and starts again as it should."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from docker.trial.commands import TrialError, say, until
from docker.trial.running import Engine, Mount, Running, Setting
from docker.trial.visit import Expected, answer, ask, checked, expected, located, refused

USER = 10001  # of the Dockerfile
START_S = 300  # a busy machine may take minutes for what an idle one does in ten seconds
STOP_S = 60
STOPS = ("drained", "stopped")  # what the service logs at its end, in this order
NOTHING_KEPT = "cache folder cannot be written"


def keys(engine: Engine, image: str, folder: Path) -> tuple[str, Path]:
    """A key and the file that lets it in, both by the image's own command."""
    said = engine.run(Setting(image), ["mkd-serve", "keys", "new", "--name", "trial", "--scopes", "infer"])
    key, line = (next(line for line in said.splitlines() if line.startswith(start)) for start in ("mkd_", "trial:"))
    file = folder / "api_keys"
    file.write_text(line + "\n", encoding="utf-8")
    file.chmod(0o644)
    return key, file


def serve(engine: Engine, image: str, artifacts: list[Path], folder: Path) -> None:
    """Three starts: a first one, one that finds what it has kept, one that cannot keep anything. Raises TrialError."""
    key, file = keys(engine, image, folder)
    golden = [expected(artifact) for artifact in artifacts]
    served = (Mount(artifact, f"/artifacts/{of[0].product}") for artifact, of in zip(artifacts, golden, strict=True))
    state = folder / "state"
    state.mkdir()
    state.chmod(0o777)
    closed = Setting(
        image,
        {"MKD_API_KEYS_FILE": "/run/secrets/api_keys"},
        (*served, Mount(file, "/run/secrets/api_keys")),
    )
    kept = replace(closed, mounts=(*closed.mounts, Mount(state, "/state", writable=True)))
    session(engine, kept, lambda port, _: judged(port, key, golden))
    session(engine, kept, lambda port, _: remembered(port, key))
    session(engine, closed, lambda port, service: nothing_kept(port, key, golden, service))


def session(engine: Engine, setting: Setting, visit: Callable[[int, Running], Iterator[str]]) -> None:
    """The service from its start over `visit` to its end by SIGTERM; raises TrialError at what is not right."""
    port = free_port()
    service = engine.start(setting, port)
    try:
        say(f"ready, says HEALTHCHECK, after {until(service.healthy, 'ready', START_S):.1f} s")
        for line in visit(port, service):
            say(line)
        stopped(service)
    finally:
        service.remove()


def judged(port: int, key: str, golden: list[list[Expected]]) -> Iterator[str]:
    """Nothing without a key; every golden picture by /score, and by /localize, as its maker has judged it."""
    status = refused(port, golden[0][0])
    if status != 401:
        raise TrialError(f"without a key the answer is {status}, not 401")
    yield "without a key: 401"
    for what in chain.from_iterable(golden):
        result = ask(port, key, what, "/localize")
        yield f"{checked(ask(port, key, what), what)}; {located(result, what)}"
        checked(result, what)


def golden_checks(port: int, key: str) -> dict[str, str]:
    """By product, which golden pictures the start has judged."""
    found = answer(port, key, "/products")
    return {product["name"]: product["golden_check"] for product in found["products"]}


def remembered(port: int, key: str) -> Iterator[str]:
    """A start that has found in /state what the one before it has kept."""
    for name, said in golden_checks(port, key).items():
        if not said.startswith("1 of "):
            raise TrialError(f"a second start judges {said} golden pictures of {name}; the first has kept nothing")
        yield f"second start, {name}: golden pictures {said}"


def nothing_kept(port: int, key: str, golden: list[list[Expected]], service: Running) -> Iterator[str]:
    """A start without a volume at /state: it judges all the same, and the log says what it does without."""
    if not any(event.startswith(NOTHING_KEPT) for event in events(service.log())):
        raise TrialError(f"without /state nothing can be kept, and the log does not say so:\n{service.log()[-2000:]}")
    for name, said in golden_checks(port, key).items():
        if not said.startswith("all "):
            raise TrialError(f"without /state the golden pictures of {name} should all be judged, and were: {said}")
    yield f"without /state: {checked(ask(port, key, golden[0][0]), golden[0][0])}, and the log says what it cannot keep"


def stopped(service: Running) -> None:
    """SIGTERM: exit code 0, and the log's last words in their order. Raises TrialError."""
    status = service.status()
    if status.user != USER:
        raise TrialError(f"the service runs as user {status.user}")
    before = time.monotonic()
    code = service.terminate(STOP_S)
    took = time.monotonic() - before
    if code != 0:
        raise TrialError(f"exit code {code} after SIGTERM:\n{service.log()[-2000:]}")
    said = [event for event in events(service.log()) if event in STOPS]
    if said != [*STOPS]:
        raise TrialError(f"after SIGTERM the log says {said}, not {STOPS}")
    say(f"user {USER}, {status.resident / 2**30:.2f} GiB resident; drained and exit code 0, {took:.1f} s after SIGTERM")


def events(log: str) -> list[str]:
    """The event of each JSON line of the log."""
    return [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
