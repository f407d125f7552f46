"""What a reader of each page has at hand before the first command: pictures, artifacts, keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.auth import new_key

MIDDLE, RADIUS = (26, 14), 6  # of the blot on a defective picture


class Pictures(NamedTuple):
    """PNG files: good ones to train on, good ones to test, a defective one."""

    train: list[bytes]
    good: list[bytes]
    bad: bytes


class Stock(NamedTuple):
    """What the folders are made of: pictures, and a function that writes an artifact of `product` below a folder."""

    pictures: Pictures
    train: Callable[[str, Path, str], None]


def write_all(folder: Path, files: list[bytes]) -> None:
    """The files as 000.png, 001.png, ... in `folder`."""
    folder.mkdir(parents=True)
    for number, data in enumerate(files):
        (folder / f"{number:03}.png").write_bytes(data)


def write_labelled(folder: Path, pictures: Pictures) -> None:
    """A labelled set in the MVTec layout."""
    write_all(folder / "train" / "good", pictures.train)
    write_all(folder / "test" / "good", pictures.good)
    write_all(folder / "test" / "blot", [pictures.bad] * 4)
    mask = np.zeros((40, 40), np.uint8)
    cv2.circle(mask, MIDDLE, RADIUS, (255,), -1)
    encoded = cv2.imencode(".png", mask)[1].tobytes()
    (folder / "ground_truth" / "blot").mkdir(parents=True)
    for number in range(4):
        (folder / "ground_truth" / "blot" / f"{number:03}_mask.png").write_bytes(encoded)


def readme(folder: Path, stock: Stock) -> None:
    """After `make demo`, with good pictures and a part of one's own."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").touch()
    write_all(folder / "demo" / "data" / "test" / "chip", [stock.pictures.bad])
    stock.train("brick", folder / "demo" / "artifacts", "")
    write_all(folder / "pictures" / "of" / "good" / "parts", stock.pictures.train)
    (folder / "part.png").write_bytes(stock.pictures.good[0])


def api(folder: Path, stock: Stock) -> None:
    """Two pictures and a product."""
    (folder / "a.png").write_bytes(stock.pictures.good[0])
    picture = cv2.imdecode(np.frombuffer(stock.pictures.good[1], np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    (folder / "b.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    stock.train("screw", folder / "artifacts", "")


def cookbook(folder: Path, stock: Stock) -> None:
    """A folder of pictures, and a product."""
    write_all(folder / "pictures", [*stock.pictures.good[:2], stock.pictures.bad])
    stock.train("screw", folder / "artifacts", "")


def audit(folder: Path, stock: Stock) -> None:
    """After `make demo`, with a part to send."""
    stock.train("brick", folder / "demo" / "artifacts", "")
    (folder / "part.png").write_bytes(stock.pictures.bad)


def bulk(folder: Path, stock: Stock) -> None:
    """A stock of pictures, a list of them, and a product."""
    write_all(folder / "archive" / "2026-11", stock.pictures.good)
    paths = [str(file.relative_to(folder)) for file in sorted((folder / "archive").rglob("*.png"))]
    pq.write_table(pa.table({"path": paths}), folder / "list.parquet")
    stock.train("screw", folder / "artifacts", "")


def operate(folder: Path, stock: Stock) -> None:
    """Two versions of a product, and a file of settings."""
    for version in ("1", "2"):
        stock.train("screw", folder / "artifacts", version)
    configured(folder)


def settings(folder: Path, stock: Stock) -> None:
    """A product and a file of settings."""
    stock.train("screw", folder / "artifacts", "1")
    configured(folder)


def configured(folder: Path) -> None:
    """The file of settings that the pages name."""
    (folder / "service.toml").write_text('[products]\nartifacts = "artifacts"\n', encoding="utf-8")


def train(folder: Path, stock: Stock) -> None:
    """Labelled pictures, good ones under a new lamp, a mask, and an artifact of an earlier release."""
    write_labelled(folder / "pictures" / "screw", stock.pictures)
    clamp = np.zeros((40, 40), np.uint8)
    clamp[:, :6] = 255
    (folder / "clamp.png").write_bytes(cv2.imencode(".png", clamp)[1].tobytes())
    stock.train("screw", folder / "old", "")
    write_all(folder / "pictures" / "screw-new-lamp", [brighter(data) for data in stock.pictures.train[:8]])


def brighter(data: bytes) -> bytes:
    """The picture of a PNG file under a lamp of 3 % more light, as another PNG file."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.imencode(".png", cv2.convertScaleAbs(picture, alpha=1.03))[1].tobytes()


def expect(folder: Path, stock: Stock) -> None:
    """Labelled pictures, and two versions of a product."""
    write_labelled(folder / "pictures" / "screw", stock.pictures)
    stock.train("screw", folder / "artifacts", "1")
    for version in ("mkd", "patchcore"):
        shutil.copytree(folder / "artifacts" / "screw" / "1", folder / "artifacts" / "screw" / version)


PREPARED: dict[str, Callable[[Path, Stock], None]] = {
    "README.md": readme,
    "docs/api.md": api,
    "docs/audit.md": audit,
    "docs/bulk.md": bulk,
    "docs/client.md": api,
    "docs/cookbook.md": cookbook,
    "docs/feedback.md": audit,
    "docs/open-inference.md": api,
    "docs/expect.md": expect,
    "docs/page.md": api,
    "docs/operate.md": operate,
    "docs/settings.md": settings,
    "docs/train.md": train,
}


def prepare(page: str, folder: Path, stock: Stock, root: Path) -> str:
    """Fill `folder` for `page`, with the files of the repository that commands name; the API key of its key file."""
    folder.mkdir(parents=True)
    shutil.copytree(root / "studies", folder / "studies")
    if page in PREPARED:
        PREPARED[page](folder, stock)
    secret, key = new_key("operator", ["infer", "metrics", "admin"])
    (folder / "keys").write_text(key.line() + "\n", encoding="ascii")
    return secret
