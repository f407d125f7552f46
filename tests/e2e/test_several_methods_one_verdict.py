"""An artifact of several methods: fitted from a file, scored in bulk, served; every reply says which one decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from models.artifact import active_artifact, load_artifact
from service.bulk.command import run as mkd_score
from service.run.application import create_app
from service.run.settings import Settings
from trainer.__main__ import main as mkd_train

CONFIG = """
image_size = 32
hold_out = 0.4
[method]
method = "combined"
folds = 2
[[method.members]]
settings = { method = "padim", dimensions = 20, taps = ["pool2", "pool3"] }
[[method.members]]
settings = { method = "mkd", cloner = "none", attribution = "discrepancy", score_views = ["pool4:100"] }
score = 0.5
peak = 1.0
"""
MEMBERS = ["padim", "mkd", "mkd:peak"]


@pytest.mark.anyio
async def test_bulk_and_service_agree_on_the_member_that_decided(
    good_folder_of_bolts: Path, bad_image: bytes, source_weights: object, tmp_path: Path
) -> None:
    config, artifacts, pictures = tmp_path / "bolt.toml", tmp_path / "artifacts", tmp_path / "pictures"
    config.write_text(CONFIG)
    line = ["fit", str(good_folder_of_bolts), "--product", "bolt", "--out", str(artifacts), "--config", str(config)]
    assert mkd_train([*line, "--threads", "1", "--no-forecast"]) == 0
    made = load_artifact(active_artifact(artifacts / "bolt"))
    assert made.manifest.training.outcome["members"] == MEMBERS

    pictures.mkdir()
    (pictures / "bad.png").write_bytes(bad_image)
    out = tmp_path / "scores.parquet"
    assert mkd_score([str(pictures), "--artifact", str(made.path), "--out", str(out)]) == 0
    (row,) = pq.read_table(out).to_pylist()
    assert row["decision"] == "NG"
    assert row["decided_by"] in MEMBERS

    audit = tmp_path / "audit"
    app = create_app(Settings(artifacts=artifacts, devices="cpu", torch_threads=1, watch_s=0, audit_folder=audit))
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = dict(state or {})
            await app(scope, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", timeout=60) as client:
            for path in ("/score", "/localize"):
                reply = await client.post(path, content=bad_image, headers={"Content-Type": "image/png"})
                (entry,) = reply.json()["results"]
                assert entry["score"] == pytest.approx(row["score"], rel=1e-4)
                assert entry["decided_by"] == row["decided_by"]
            assert entry["regions"]
    records = [json.loads(line) for file in audit.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert [one["decided_by"] for one in records if "artifact" in one] == [row["decided_by"]] * 2
