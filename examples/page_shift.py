"""Makes a shift for pictures of the page: parts are judged, people judge some of them, thresholds are proposed.

In: a running service and a folder of test pictures in the MVTec layout. The judgements say what the folders say.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

GOOD = "good"
PLACE = {"line": "line-7", "station": "press-2"}
PNG = {"Content-Type": "image/png"}
FIRST_PART = 20460
MOST_DEFECTS = 12
GROUPED_S = 240.0
RATE = 0.02
SHIFT_S = 7.5 * 3600
SEED = 4


class Shift:
    """The parts of one product, in an order that a seed decides."""

    def __init__(self, url: str, product: str, data: Path, keys: dict[str, str]) -> None:
        self.product, self.url, self._keys = product, url, keys
        self._client = httpx.Client(timeout=120, trust_env=False)
        self._kinds: dict[str, str] = {}  # part id -> its folder
        self._files = self._in_order(data / "test")

    def _in_order(self, folder: Path) -> Iterator[Path]:
        """About one defective part among ten, and a defective one every so often at the end."""
        draw = random.Random(SEED)
        good = sorted((folder / GOOD).glob("*.png"))
        bad = sorted(file for file in folder.glob("*/*.png") if file.parent.name != GOOD)
        draw.shuffle(good)
        draw.shuffle(bad)
        for number, file in enumerate(good):
            yield file
            if number % 9 == 4 and bad:
                yield bad.pop()

    def judge(self, count: int) -> None:
        """Have the next parts judged; fewer where the folder has no more."""
        for file in (file for _, file in zip(range(count), self._files, strict=False)):
            self.judge_file(file)

    def judge_file(self, file: Path) -> str:
        """Have this picture judged as the next part; its decision."""
        part = f"T-{FIRST_PART + len(self._kinds)}"
        self._kinds[part] = file.parent.name
        query = {"product": self.product, "part_id": part, **PLACE}
        reply = self._call("line", "POST", "/score", content=file.read_bytes(), params=query, headers=PNG)
        return str(reply["results"][0]["decision"])

    def judge_defects(self, data: Path) -> None:
        """Defective parts until one of them is NG."""
        files = [file for file in sorted(data.glob("test/*/*.png")) if file.parent.name != GOOD]
        random.Random(SEED + 1).shuffle(files)
        any(self.judge_file(file) == "NG" for file in files[:MOST_DEFECTS])

    def review(self) -> None:
        """Somebody judges all that waits."""
        time.sleep(1)  # the store writes a moment after the answer
        while rows := self._call("anna", "GET", "/reviews", params={"limit": 200})["verdicts"]:
            for row in rows:
                kind = self._kinds[row["part_id"]]
                said = {"label": GOOD} if kind == GOOD else {"label": "defect", "class": kind}
                self._call("anna", "POST", f"/verdicts/{row['id']}/reviews", json=said)

    def disagree(self) -> None:
        """A second person calls the newest part that is a defect good."""
        rows = self._call("ben", "GET", "/verdicts", params={"reviewed": "yes", "limit": 200})["verdicts"]
        row = next(row for row in rows if row["reviews"][-1]["label"] == "defect")
        self._call("ben", "POST", f"/verdicts/{row['id']}/reviews", json={"label": GOOD, "note": "only dust"})

    def propose(self) -> dict[str, Any]:
        """New thresholds from what was judged; their record once it is no longer at work."""
        path = f"/products/{self.product}/recalibrations"
        begun = self._call("anna", "POST", path, json={"max_false_reject": RATE})
        while (found := self._call("anna", "GET", f"{path}/{begun['id']}"))["state"] == "running":
            time.sleep(0.2)
        return dict(found)

    def group(self) -> None:
        """Waits until the regions of defects have been grouped; the largest group gets a name."""
        path, until = f"/products/{self.product}/defect-groups", time.monotonic() + GROUPED_S
        while (found := self._call("anna", "GET", path))["work"]["waiting"] and time.monotonic() < until:
            time.sleep(1)
        for group in found["groups"][:1]:
            kinds = [self._kinds[member["part_id"]] for member in group["members"]]
            name = max(sorted(set(kinds)), key=kinds.count)
            self._call("anna", "POST", f"{path}/{group['id']}/name", json={"name": name})

    def _call(self, who: str, method: str, path: str, **options: Any) -> Any:
        headers = {"X-API-Key": self._keys[who], **options.pop("headers", {})}
        answer = self._client.request(method, f"{self.url}{path}", headers=headers, **options)
        if answer.is_error:
            raise OSError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None


def spread_over_the_shift(feedback: Path) -> None:
    """Moves the stored verdicts of a service that is stopped apart, as a line would have brought them."""
    with sqlite3.connect(feedback / "feedback.sqlite") as store:
        ids = [row[0] for row in store.execute("SELECT id FROM verdicts ORDER BY id")]
        now = time.time()
        for place, id_ in enumerate(ids):
            at = now - SHIFT_S * (1 - place / len(ids)) - 60
            store.execute("UPDATE verdicts SET at = ? WHERE id = ?", (at, id_))
