"""The same defect comes again: the real service finds its group, and says the group's name of the next part."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from benchmarks.harness.service_process import ServiceProcess
from tests.e2e.conftest import faults

T = TypeVar("T")
PATH = "/products/bolt/defect-groups"


def test_a_defect_that_comes_again_is_found_and_named(
    artifacts_folder: Path, flags: tuple[str, ...], bad_image: bytes, tmp_path: Path
) -> None:
    with (
        ServiceProcess(artifacts_folder, *flags, "--feedback", str(tmp_path / "feedback")) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=120, trust_env=False) as client,
    ):
        for part in ("P-1", "P-2"):
            send(client, bad_image, part)
        (group,) = until(lambda: client.get(PATH).json(), lambda found: found["groups"])["groups"]
        assert ([row["part_id"] for row in group["members"]], group["parts"]) == (["P-2", "P-1"], 2)
        x, y, width, height = group["members"][0]["box"]
        assert (x <= 26 <= x + width, y <= 14 <= y + height) == (True, True)  # the blot's middle
        named = client.post(f"{PATH}/{group['id']}/name", json={"name": "blot"})
        assert named.status_code == 204, named.text
        send(client, bad_image, "P-3")
        client.get(PATH)
        row = until(lambda: rows(client, "P-3")[0], lambda row: row["resembles"])
        assert (row["resembles"]["group"], row["resembles"]["name"]) == (group["id"], "blot")
    assert faults(service) == []


def send(client: httpx.Client, image: bytes, part: str) -> None:
    """An NG part, stored."""
    sent = {"Content-Type": "image/png", "X-Part-Id": part}
    answer = client.post("/score?product=bolt", content=image, headers=sent)
    assert answer.json()["results"][0]["decision"] == "NG", answer.text
    until(lambda: rows(client, part), bool)


def rows(client: httpx.Client, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/verdicts?part_id={part}").json()["verdicts"]
    return found


def until(read: Callable[[], T], is_there: Callable[[T], object]) -> T:
    """What is read, once it is there."""
    for _ in range(600):
        found = read()
        if is_there(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"it does not come: {found}")
