"""What a picture takes while it is read for the network, decoded, or laid over, in bytes a pixel, format by format.

    python -m benchmarks.image_memory [--megapixels 24]

Each case runs in a process of its own, whose peak of resident memory above what it had before is taken. 1 where one
takes more than models.imaging.limits.PEAK_BYTES says.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.harness.memory import begin_peak, peak_bytes_above, resident_bytes
from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.calibration.conformal import MapScale
from models.imaging.decode import ImageLimits, decode_image
from models.imaging.limits import PEAK_BYTES
from models.imaging.map_picture import eight_bit, grey_picture, mask, overlay
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from service.inspection.map_pictures import as_png

Values = npt.NDArray[Any]
QUICK = [cv2.IMWRITE_PNG_COMPRESSION, 1]
Work = Literal["input", "picture", "overlay"]
SCALE = MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05)


def _png(values: Values) -> bytes:
    return cv2.imencode(".png", values, QUICK)[1].tobytes()


def _saved(suffix: str, values: Values) -> bytes:
    return cv2.imencode(suffix, values)[1].tobytes()


def _tiff(values: Values, **layout: Any) -> bytes:
    return write_tiff(values, TiffLayout(photometric=2, **{"rows": 64, **layout}))


CASES: Mapping[str, Callable[[Values], bytes]] = {
    "JPEG": lambda colours: _saved(".jpg", colours),
    "BMP": lambda colours: _saved(".bmp", colours),
    "PNG, grey, 16 bits": lambda colours: _png(colours[:, :, 0].astype(np.uint16) * 257),
    "PNG, 8 bits": _png,
    "PNG, opacity": lambda colours: _png(np.dstack([colours, colours[:, :, 0]])),
    "PNG, 16 bits": lambda colours: _png(colours.astype(np.uint16) * 257),
    "WebP": lambda colours: _saved(".webp", colours),
    "TIFF, LZW, 8 bits": lambda colours: _saved(".tiff", colours),
    "TIFF, LZW, 16 bits": lambda colours: _saved(".tiff", colours.astype(np.uint16) * 257),
    "TIFF, not compressed, one strip": lambda colours: _tiff(colours, rows=len(colours)),
    "TIFF, Deflate, one strip": lambda colours: _tiff(colours, rows=len(colours), compression="Deflate"),
    "TIFF, Deflate, tiles of 256": lambda colours: _tiff(colours, tile=(256, 256), compression="Deflate"),
    "TIFF, 16 bits, planes apart": lambda colours: _tiff(colours.astype(np.uint16) * 257, bits=16, apart=True),
    "TIFF, LZW, one strip": lambda colours: _tiff(colours, rows=len(colours), compression="LZW"),
    "TIFF, LZW, 16 bits, one strip": lambda colours: _tiff(
        colours.astype(np.uint16) * 257, bits=16, rows=len(colours), compression="LZW"
    ),
    "TIFF, Zstandard, 16 bits, opacity, one strip": lambda colours: _tiff(
        np.dstack([colours, colours[:, :, 0]]).astype(np.uint16) * 257,
        bits=16,
        rows=len(colours),
        compression="Zstandard",
        extra=(2,),
    ),
}


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=get_args(Work), default="picture", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case is not None:
        print(measured(given.case, given.megapixels, given.work))
        return 0
    print("| format | for the network, at 256 pixels | decoding | decoding, overlay, map and mask |\n|---|---|---|---|")
    rows: dict[str, list[float]] = {}
    for name in CASES:
        rows[name] = [in_a_process(name, given.megapixels, work) for work in get_args(Work)]
        print(f"| {name} | {' | '.join(f'{most:.1f}' for most in rows[name])} |", flush=True)
    worst: dict[str, float] = {}
    for name, row in rows.items():
        worst[format_of(name)] = max(worst.get(format_of(name), 0), *row)
    for kind, most in worst.items():
        print(f"{kind}: at most {most:.1f} bytes a pixel; {PEAK_BYTES[kind]} are planned with")
    return int(any(most > PEAK_BYTES[kind] for kind, most in worst.items()))


def format_of(case: str) -> str:
    """The format of a case, as the decoder names it."""
    return case.split(",")[0].upper()


def in_a_process(case: str, megapixels: float, work: Work) -> float:
    """`measured` in a new process."""
    command = [sys.executable, "-m", "benchmarks.image_memory", "--case", case, "--megapixels", str(megapixels)]
    command += ["--work", work]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measured(case: str, megapixels: float, work: Work) -> float:
    """Peak bytes a pixel above what this process held before. Linux only."""
    height = round((megapixels * 1e6 * 2 / 3) ** 0.5)
    size = (round(1.5 * height), height)
    small = np.random.default_rng(0).integers(0, 256, (height // 8, size[0] // 8, 3), dtype=np.uint8)
    data = CASES[case](np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)))
    cv2.setNumThreads(1)
    decode_image(CASES[case](small))  # what a decoder allocates once
    begin_peak()
    before = resident_bytes()
    _work(data, *size, work)
    return float(peak_bytes_above(before) / (size[0] * size[1]))


def _work(data: bytes, width: int, height: int, work: Work) -> None:
    limits = ImageLimits(max_bytes=2**31, max_pixels=2**31)
    if work == "picture":
        decode_image(data, limits)
        return
    if work == "input":
        PictureViews(Preprocessing(image_size=256, jpeg="reduced", version=2)).prepare_file(data, limits)
        return
    anomaly_map = np.random.default_rng(1).random((128, 128)).astype(np.float32)
    grey = grey_picture(anomaly_map, SCALE, width, height)
    as_png(overlay(eight_bit(decode_image(data, limits), 65535), grey))
    as_png(grey)
    as_png(mask(anomaly_map, SCALE, width, height))


if __name__ == "__main__":
    sys.exit(main())
