"""Halves averaged side by side are the picture averaged at once, to the last digit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from models.imaging import two_halves
from models.imaging.two_halves import average_down, middle_cut


@pytest.mark.parametrize(
    ("height", "width", "size"), [(480, 640, 224), (600, 800, 128), (1080, 300, 224), (384, 260, 256), (300, 300, 96)]
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_no_number_differs(
    height: int, width: int, size: int, kind: type[np.unsignedinteger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_halves, "LEAST_PIXELS", 0)
    monkeypatch.setattr(two_halves, "_cores", lambda: 2)
    pixels = np.random.default_rng(height).integers(0, np.iinfo(kind).max, (height, width, 3), kind, endpoint=True)
    shapes: list[tuple[int, ...]] = []
    resize = cv2.resize

    def watched(part: np.ndarray, *arguments: object, **more: object) -> np.ndarray:
        shapes.append(part.shape)
        found: np.ndarray = resize(part, *arguments, **more)  # type: ignore[call-overload]
        return found

    monkeypatch.setattr(cv2, "resize", watched)
    found = average_down(pixels, size)
    assert len(shapes) == 2
    assert sum(shape[0] for shape in shapes) == height
    assert np.array_equal(found, resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("height", "size", "cut"), [(480, 224, 112), (450, 224, 112), (900, 256, 128), (300, 224, 112), (479, 224, None)]
)
def test_it_is_cut_where_a_row_of_the_result_begins_at_a_row_of_the_picture(
    height: int, size: int, cut: int | None
) -> None:
    assert middle_cut(height, size) == cut
    assert cut is None or cut * height % size == 0


def test_while_the_other_thread_is_busy_one_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_halves, "_cores", lambda: 2)
    helper, ends = ThreadPoolExecutor(1), threading.Event()
    monkeypatch.setattr(two_halves, "_helper", lambda: helper)
    busy = helper.submit(ends.wait, 30)
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    found = average_down(pixels, 128)
    assert not busy.done()
    ends.set()
    assert np.array_equal(found, cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA))
    helper.shutdown()
