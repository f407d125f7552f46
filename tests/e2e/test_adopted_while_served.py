"""A plain artifact that becomes the first version of its product is served all along, and then as that version."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from service.metrics import Metrics
from service.products.registry import Registry
from trainer.adopt import adopt


def test_a_product_is_served_while_it_is_adopted(artifacts_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(artifacts_folder / "bolt", tmp_path / "bolt")

    async def check() -> None:
        registry = Registry(tmp_path, validate=lambda _: None, metrics=Metrics(), watch_s=0)
        await registry.start()
        try:
            async with registry.lease("bolt") as before:
                made = adopt(tmp_path / "bolt", "1")
                await registry.look()
                async with registry.lease("bolt") as after:
                    assert (after.hash, after.folder) == (before.hash, "1")
            assert made == tmp_path / "bolt" / "1"
            assert registry.status("bolt").problems == {}
        finally:
            await registry.stop()

    asyncio.run(check())
