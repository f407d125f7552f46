"""Products of SPADE and SimpleNet are fitted, judged in one batch, localized and swapped for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from models.artifact import load_artifact
from service.bulk.command import run as mkd_score
from service.run.application import create_app
from service.run.settings import Settings
from trainer.__main__ import main as mkd_train

PNG = {"Content-Type": "image/png"}
SETTINGS = {
    "spade": ["neighbours=5"],
    "simplenet": ["steps=40", "hidden=32", "patches=128", "learning_rate=0.01", "average_decay=0.9", "whiten=true"],
}


def fit(data: Path, out: Path, product: str, version: str, method: str) -> None:
    line = ["fit", str(data), "--product", product, "--version", version, "--out", str(out), "--hold-out", "0.4"]
    line += ["--method", method, "--image-size", "32", "--threads", "1", "--no-forecast"]
    assert mkd_train([*line, *(part for one in SETTINGS[method] for part in ("--set", one))]) == 0


@asynccontextmanager
async def served(artifacts: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(artifacts=artifacts, devices="cpu", torch_threads=1, watch_s=0))
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = dict(state or {})
            await app(scope, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", timeout=60) as client:
            yield client


@pytest.mark.anyio
async def test_spade_and_simplenet_share_batches_and_replace_each_other(
    good_folder_of_bolts: Path, tmp_path: Path, bad_image: bytes, good_images: list[bytes], source_weights: object
) -> None:
    artifacts = tmp_path / "artifacts"
    for product, method in (("bolt", "spade"), ("nut", "simplenet")):
        fit(good_folder_of_bolts, artifacts, product, "1", method)
    outcome = load_artifact(artifacts / "nut" / "1").manifest.training.outcome
    assert float(str(outcome["noise"])) > 0
    assert load_artifact(artifacts / "bolt" / "1").manifest.training.outcome["bank"] == outcome_bank(artifacts)

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "bad.png").write_bytes(bad_image)
    alone = {}
    for product in ("bolt", "nut"):
        out = tmp_path / f"{product}.parquet"
        assert mkd_score([str(pictures), "--artifact", str(artifacts / product / "1"), "--out", str(out)]) == 0
        (alone[product],) = pq.read_table(out).to_pylist()

    async with served(artifacts) as client:

        async def score(product: str, image: bytes, path: str = "/score") -> dict[str, Any]:
            reply = await client.post(path, params={"product": product}, content=image, headers=PNG)
            assert reply.status_code == 200, reply.text
            (verdict,) = reply.json()["results"]
            return dict(verdict)

        bolt, nut, good = await asyncio.gather(
            score("bolt", bad_image), score("nut", bad_image), score("bolt", good_images[0])
        )
        for verdict, product, method in ((bolt, "bolt", "spade"), (nut, "nut", "simplenet")):
            assert verdict["artifact"]["method"] == method
            assert verdict["decision"] == alone[product]["decision"] == "NG"
            assert verdict["score"] == pytest.approx(alone[product]["score"], rel=1e-3)
        assert good["score"] < bolt["score"]
        for product in ("bolt", "nut"):
            assert (await score(product, bad_image, "/localize"))["regions"]

        fit(good_folder_of_bolts, artifacts, "bolt", "2", "simplenet")
        loaded = (await client.post("/admin/products/bolt/load", json={})).json()
        assert loaded["version"] == "2", loaded
        swapped = await score("bolt", bad_image)
        assert (swapped["artifact"]["method"], swapped["artifact"]["version"]) == ("simplenet", "2")


def outcome_bank(artifacts: Path) -> int:
    """How many pictures the bank in the tensors of the bolt's first version holds."""
    return len(load_artifact(artifacts / "bolt" / "1").head.tensors()["pictures"])
