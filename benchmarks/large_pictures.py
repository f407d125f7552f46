"""A line scan and a picture of 48 megapixels in tiles: memory, time, seams, and a painted defect of 12 pixels.

    python -m benchmarks.large_pictures [--source efficientnet-lite0] [--scale 1]

Textures are made up; PatchCore is fitted to crops of the size of a tile. Each case runs in a process of its own: two
good pictures give the level of score and map, a third has a disc painted across the border of two tiles. The peak of
resident memory is that of decoding and judging all three, one after the other, above what the process held before;
what a batch of tiles takes on its way through the source, whatever the picture, is measured first. Two good pictures
promise little: a box elsewhere is no surprise, and counted. No service is started.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.harness.fitted import CPU, fitted_head
from benchmarks.harness.memory import begin_peak, peak_bytes_above, resident_bytes
from benchmarks.harness.report import Bar, machine, options_of, report
from models.backends.choice import BackendName
from models.backends.pool import SourcePool, source_key
from models.calibration.conformal import MapScale
from models.detector import Detector, Judgement, Row
from models.heads.base import Head
from models.heads.registry import config_of
from models.image_judge import BATCH_IMAGES, ImageJudge
from models.imaging.limits import PEAK_BYTES, ImageLimits
from models.imaging.map_picture import Region, regions
from models.imaging.preprocess import Preprocessing, prepare
from models.imaging.tiling import Tiling
from service.run.interpreter import give_memory_back

DEFECT = 12  # pixels of the camera across
DARKER = 60  # grey levels
CROPS = 48
BANK = 1500
VIEW_BYTES = 24  # of a pixel of a view: three colours and the map in float32, and the sums of which the map is joined
FORMATS = {".png": "PNG", ".jpg": "JPEG"}
SEAM = 1.25  # the map may change this much more at the border of a tile than elsewhere, on average
LIMITS = ImageLimits(max_bytes=2**31, max_pixels=2**31)
Picture = npt.NDArray[np.uint8]


class Case(NamedTuple):
    """A kind of picture, and how it is seen."""

    name: str
    width: int
    height: int
    suffix: str
    side: int = 256
    image_size: int = 256

    @property
    def tiling(self) -> Tiling:
        """A quarter of overlap."""
        return Tiling(side=self.side, overlap=self.side // 4, width=self.width, height=self.height, version=2)


CASES = (
    Case("line scan", 16384, 512, ".png"),
    Case("48 megapixels", 8000, 6000, ".jpg", 512),
    Case("48 megapixels, TIFF", 8000, 6000, ".tiff", 512),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """All cases; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--source", default="vgg16", help="[vgg16]")
    options.add_argument("--scale", type=float, default=1.0, help="of all sides; less for a first look [1]")
    options.add_argument("--case", type=int, help="one of the cases alone, its figures as JSON")
    given = options.parse_args(arguments)
    cases = [case._replace(width=_scaled(case.width, given), height=_scaled(case.height, given)) for case in CASES]
    if given.case is not None:
        print(json.dumps(judged(cases[given.case], given.source)))
        return 0
    results, bars = {}, []
    for number, case in enumerate(cases):
        command = [sys.executable, "-m", __spec__.name, "--case", str(number), "--source", given.source]
        command += ["--scale", str(given.scale)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        results[case.name] = found
        planned = found["batch_mb"] + planned_mb(case)
        bars += [
            Bar(f"{case.name}: MB at the peak", found["peak_mb"], "<=", round(planned)),
            Bar(f"{case.name}: change of the map at tiles' borders, to elsewhere", found["seam"], "<=", SEAM),
            Bar(f"{case.name}: score of the defect, to the highest good one", found["score_ratio"], ">=", 1.05),
            Bar(f"{case.name}: the hottest box holds the defect's middle", found["hottest_on_it"], ">=", 1),
        ]
    return report("large_pictures", given, machine(), results, bars)


def planned_mb(case: Case) -> float:
    """The picture while it is decoded, its views and their maps. Of a TIFF in strips a row of tiles is held, twice."""
    views = VIEW_BYTES * case.tiling.count * case.image_size**2
    if case.suffix == ".tiff":
        return (2 * 3 * case.width * case.side + views) / 1e6
    return (PEAK_BYTES[FORMATS[case.suffix]] * case.width * case.height + views) / 1e6


def judged(case: Case, source: str, backend: BackendName = "auto") -> dict[str, object]:
    """What one case gives."""
    key = source_key(source, "source", None)
    pool = SourcePool(CPU, backend=backend)
    pool.require(key)
    preprocessing = Preprocessing(image_size=case.image_size, resize="tiles", tiles=case.tiling, version=2)
    judge, detector = ImageJudge(head_of(case, pool, source), key, preprocessing), Detector(CPU, pool)
    place = defect_place(case.tiling)
    files = [encoded(texture(case.width, case.height, seed), case) for seed in (1, 2)]
    data = encoded(with_disc(texture(case.width, case.height, 3), place), case)
    batch = batch_bytes(judge, detector)
    give_memory_back()
    begin_peak()
    before = resident_bytes()
    good = [_judge(judge, detector, file) for file in files]
    started = time.monotonic()
    found = _judge(judge, detector, data)
    seconds = time.monotonic() - started
    peak = peak_bytes_above(before)
    boxes = boxes_of(found, good, case)
    on_it = [box for box in boxes if _holds(box, place)]
    return {
        "file_mb": round(len(data) / 1e6, 1),
        "tiles": case.tiling.count,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak / 1e6),
        "batch_mb": round(batch / 1e6),
        "bytes_a_pixel": round(peak / (case.width * case.height), 1),
        "seam": round(seam(good[0], case.tiling), 3),
        "score_ratio": round(found.score / max(one.score for one in good), 3),
        "defect": [place[0] - DEFECT // 2, place[1] - DEFECT // 2, DEFECT, DEFECT],
        "hottest_on_it": int(bool(boxes) and boxes[0] in on_it),
        "boxes_elsewhere": len(boxes) - len(on_it),
        "box": list(on_it[0].box) if on_it else None,
    }


def batch_bytes(judge: ImageJudge, detector: Detector) -> int:
    """What a batch of tiles takes at its peak, above what the process holds before, once the source has run."""
    size = judge.preprocessing.image_size
    rows = [Row(np.full((3, size, size), 0.5, np.float32), judge.head, judge.source, True)] * BATCH_IMAGES
    detector.judge(rows[:1])
    give_memory_back()
    begin_peak()
    before = resident_bytes()
    detector.judge(rows)
    return peak_bytes_above(before)


def head_of(case: Case, pool: SourcePool, source: str) -> Head:
    """PatchCore on crops of good textures, each as large as a tile."""
    preprocessing = Preprocessing(image_size=case.image_size, version=2)
    crops = [prepare(texture(case.side, case.side, 100 + number), preprocessing) for number in range(CROPS)]
    return fitted_head(config_of({"method": "patchcore", "bank_size": BANK}), crops, pool, source)


def texture(width: int, height: int, seed: int) -> Picture:
    """(height, width, 3): brushed metal, a grain of a few pixels along the scan and faint lines across it."""
    random = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(random.normal(0, 24, (height, width)).astype(np.float32), (0, 0), 2.5, sigmaY=0.8)
    lines = 6 * np.sin(np.arange(width, dtype=np.float32) / 9)
    grey = np.clip(128 + grain + lines, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))


def defect_place(tiling: Tiling) -> tuple[int, int]:
    """x and y on the left edge of a tile in the middle of the picture."""
    return tiling.columns[len(tiling.columns) // 2], tiling.height // 2


def with_disc(picture: Picture, place: tuple[int, int]) -> Picture:
    """The same with a darker disc, DEFECT pixels across."""
    cover = np.zeros(picture.shape[:2], np.uint8)
    cv2.circle(cover, place, DEFECT // 2, 255, -1)
    picture[cover > 0] -= np.minimum(picture[cover > 0], DARKER)
    return picture


def encoded(picture: Picture, case: Case) -> bytes:
    """A file of the case's format."""
    done, data = cv2.imencode(case.suffix, picture)
    assert done
    return data.tobytes()


def boxes_of(found: Judgement, good: Sequence[Judgement], case: Case) -> list[Region]:
    """The regions above the highest value of the good maps."""
    level = max(float(one.map.max()) for one in good if one.map is not None)
    assert found.map is not None
    scale = MapScale(low=0.0, high=2 * level, threshold=level, rate_promised=0.05)
    return regions(found.map, scale, case.width, case.height)


def seam(good: Judgement, tiling: Tiling) -> float:
    """How much a good map changes from place to place along the tiles' left and right edges, to elsewhere."""
    assert good.map is not None
    change = np.abs(np.diff(good.map, axis=1)).mean(axis=0)
    scale = good.map.shape[1] / tiling.width
    edges = {round(x * scale) for start in tiling.columns for x in (start, start + tiling.side)}
    near = sorted({edge + step for edge in edges for step in (-1, 0)} & set(range(2, len(change) - 2)))
    return float(change[near].mean() / np.delete(change, near).mean())


def _judge(judge: ImageJudge, detector: Detector, data: bytes) -> Judgement:
    (found,) = judge.judge_all(detector, [judge.prepare_file(data, LIMITS)], wants_map=True)
    return found


def _holds(region: Region, place: tuple[int, int]) -> bool:
    x, y, width, height = region.box
    return x <= place[0] <= x + width and y <= place[1] <= y + height


def _scaled(length: int, given: object) -> int:
    scale: float = vars(given)["scale"]
    return max(512, round(length * scale))


if __name__ == "__main__":
    sys.exit(main())
