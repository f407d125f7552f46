"""How pure groups of recurring defects are: sends the defects of a folder to a service, and reads its groups.

The folder has the MVTec layout, and the names of its folders below `test` are the classes; the service is told of none
of them. Good parts of `test` are sent first. Every defect that is NG is grouped; a group's class is that of most of its
parts, and purity the share of parts that are of their group's class. Nothing is chosen by these figures.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx

MOST_GOOD = 40
PAUSE_S = 2.0


def main() -> int:
    """Command line: python -m benchmarks.defect_groups --product tile DATA"""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, help="folder in the MVTec layout")
    options.add_argument("--product", required=True)
    options.add_argument("--url", default="http://127.0.0.1:8000")
    given = options.parse_args()
    with httpx.Client(base_url=given.url, timeout=60) as client:
        files = sorted(given.data.glob("test/*/*.png"))
        good = [file for file in files if file.parent.name == "good"][:MOST_GOOD]
        for file in [*good, *(file for file in files if file.parent.name != "good")]:
            _send(client, given.product, file)
        _wait(client, given.product)
        _report(_rows(client, given.product))
    return 0


def _send(client: httpx.Client, product: str, file: Path) -> None:
    sent = {"Content-Type": "image/png", "X-Part-Id": f"{file.parent.name}/{file.name}"}
    client.post("/score", params={"product": product}, content=file.read_bytes(), headers=sent).raise_for_status()


def _wait(client: httpx.Client, product: str) -> None:
    time.sleep(PAUSE_S)  # the store writes a moment after the answers
    while True:
        found = client.get(f"/products/{product}/defect-groups").raise_for_status().json()
        if found["work"]["waiting"] == 0 or found["work"]["trouble"]:
            print(f"without a region: {found['undescribed']}; trouble: {found['work']['trouble']}")
            return
        time.sleep(PAUSE_S)


def _rows(client: httpx.Client, product: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        query: dict[str, str | int] = {
            "product": product,
            "decision": "NG",
            "limit": 500,
            **({"before": before} if before else {}),
        }
        page = client.get("/verdicts", params=query).raise_for_status().json()
        found += page["verdicts"]
        before = page["next"]
        if before is None:
            return found


def _report(rows: list[dict[str, Any]]) -> None:
    classes = Counter(_class_of(row) for row in rows)
    groups: dict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["resembles"] is not None:
            groups[row["resembles"]["group"]][_class_of(row)] += 1
    together = sum(group.total() for group in groups.values())
    pure = sum(max(group.values()) for group in groups.values())
    print(f"NG: {dict(classes)}; in {len(groups)} groups of two or more: {together} of {len(rows)}")
    for number, group in sorted(groups.items(), key=lambda item: -item[1].total()):
        print(f"| {number} | {group.total()} | {', '.join(f'{name} {count}' for name, count in group.most_common())} |")
    if together:
        print(f"purity {pure / together:.2f}; of one group for all it would be {max(classes.values()) / len(rows):.2f}")


def _class_of(row: dict[str, Any]) -> str:
    return str(row["part_id"]).split("/")[0]


if __name__ == "__main__":
    raise SystemExit(main())
