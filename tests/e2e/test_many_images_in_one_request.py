"""Sixty-four images in one request, ten of them broken in different ways: the others are judged as if sent alone."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

IMAGES = 64
Entry = dict[str, object]


def broken_images(whole: bytes) -> dict[bytes, set[str]]:
    """Ten files that cannot be judged, each with the codes that may say so."""
    pixels = Image.open(io.BytesIO(whole))
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0xFF
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    return {
        b"": {"image_empty"},
        b"this is no picture": {"image_unreadable"},
        whole[: len(whole) // 2]: {"image_truncated"},
        encoded(pixels, "JPEG")[:-200]: {"image_truncated"},
        bytes(damaged): {"image_damaged", "image_truncated"},
        encoded(pixels, "GIF"): {"image_format_not_allowed"},
        encoded(pixels, "TIFF", save_all=True, append_images=[pixels]): {"image_multiple_frames"},
        promising(whole, 60_000, 60_000): {"image_too_many_pixels"},
        encoded(pixels.resize((4, 4)), "PNG"): {"image_too_small"},
        encoded(noise, "BMP"): {"image_too_many_bytes"},
    }


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def promising(whole: bytes, width: int, height: int) -> bytes:
    """The PNG file with other sizes in its header."""
    chunk = whole[12:16] + struct.pack(">II", width, height) + whole[24:29]
    return whole[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]


def variants(images: list[bytes], count: int) -> list[bytes]:
    """`count` different pictures: the given ones, turned and dimmed."""
    made = []
    for number in range(count):
        pixels = cv2.imdecode(np.frombuffer(images[number % len(images)], np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        turned = np.rot90(pixels, number % 4).astype(np.float32) * (1 - 0.01 * number)
        made.append(cv2.imencode(".png", np.ascontiguousarray(turned.astype(np.uint8)))[1].tobytes())
    return made


@pytest.mark.parametrize("path", ["/score", "/localize"])
def test_broken_images_get_an_error_each_and_the_others_their_verdict(
    client: httpx.Client, good_images: list[bytes], path: str
) -> None:
    broken = broken_images(good_images[0])
    whole = variants(good_images, IMAGES - len(broken))
    assert len(broken) == 10
    files = whole.copy()
    for number, bad in enumerate(broken):
        files.insert(6 * number, bad)
    together = ask(client, path, files)
    assert len(together) == IMAGES
    assert [entry["index"] for entry in together] == list(range(IMAGES))
    for file, entry in zip(files, together, strict=True):
        if file in broken:
            assert "decision" not in entry
            error = entry["error"]
            assert isinstance(error, dict)
            assert error["code"] in broken[file], error
        else:
            (alone,) = ask(client, path, [file])
            assert_same(entry, alone)


def ask(client: httpx.Client, path: str, images: list[bytes]) -> list[Entry]:
    parts = [("image", (f"{number}.png", data)) for number, data in enumerate(images)]
    answer = client.post(f"{path}?product=bolt", files=parts)
    assert answer.status_code == 200, answer.text
    results: list[Entry] = answer.json()["results"]
    return results


def assert_same(one: Entry, other: Entry) -> None:
    """Equal but for place and times; scores to rounding, as a batch of another size adds up in another order."""
    of_no_matter = {"index", "filename", "timing", "map", "regions", "score"}
    assert without(one, of_no_matter) == without(other, of_no_matter)
    assert one["score"] == pytest.approx(other["score"], rel=1e-5)
    if "map" in one:
        assert np.abs(grey(one["map"]) - grey(other["map"])).max() <= 1


def without(entry: Entry, names: set[str]) -> Entry:
    return {name: value for name, value in entry.items() if name not in names}


def grey(picture: object) -> npt.NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(str(picture)))), np.int16)
