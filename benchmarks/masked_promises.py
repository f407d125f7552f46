"""Whether promised false-reject rates hold under a mask: good pictures of real sets, 2,000 calibrations of each size.

    python -m benchmarks.masked_promises ../shared/data/mvtec_screw ../shared/data/deeppcb

PaDiM is fitted to a third of a set's good pictures, seen through a mask that leaves out a disc, a corner and a stripe.
The others are judged under the same mask. From these, held-out and new pictures are drawn anew each time, as in
`benchmarks.promises`. Beside it: a patch of noise in an ignored place must change no bit of the score. No service is
started.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.harness.fitted import CPU, fitted_head
from benchmarks.harness.report import RESULTS, Bar, machine, report
from benchmarks.promises import RATES, simulated
from models.backends.pool import SourcePool, source_key
from models.detector import Detector
from models.heads.registry import config_of
from models.image_judge import ImageJudge
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions
from models.sources.registry import DEFAULT_SOURCE
from trainer.data import good_folder, image_files, read_pixels

HELD_OUT = (19, 30, 50)
NEW = 30  # at least
UNMOVED = 20  # pictures in which an ignored place is painted over
METHOD = config_of({"method": "padim", "covariance": "shared"})


def main(arguments: Sequence[str] | None = None) -> int:
    """All sets; 0 where every realised rate lies inside its interval and no score moves."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, nargs="+", help="folders in the MVTec layout, pictures of one size each")
    options.add_argument("--most", type=int, default=240, help="pictures of each set [240]")
    options.add_argument("--draws", type=int, default=2000, help="[2000]")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result [benchmarks/results]")
    given = options.parse_args(arguments)
    pool = SourcePool(CPU)
    results: dict[str, object] = {}
    outside, moved = 0, 0
    for data in given.data:
        scores, changed = masked_scores(data, given.most, pool)
        moved += changed
        for rate in RATES:
            for count in (one for one in HELD_OUT if one + NEW <= len(scores)):
                cell = simulated(scores, count, rate, given.draws, len(scores) - count)
                outside += not cell["low"] <= cell["exact"] <= cell["high"]
                results[f"{data.name}, {rate:g} asked, {count} held out"] = cell
                print(
                    f"{data.name:14} asked {rate:<5g} held out {count:3}: promised {cell['promised']:.4f} "
                    f"realised {cell['realised']:.4f} (interval {cell['low']:.4f} to {cell['high']:.4f})"
                )
    bars = [
        Bar("cells outside their Monte-Carlo interval", outside, "<=", 0),
        Bar("pictures whose score an ignored place moves", moved, "<=", 0),
    ]
    given.data = [data.name for data in given.data]  # a result names no path
    return report("masked_promises", given, machine(), results, bars)


def masked_scores(data: Path, most: int, pool: SourcePool) -> tuple[npt.NDArray[np.float32], int]:
    """Scores of the good pictures that were not fitted to, and how many of a few an ignored place has moved."""
    files = np.random.default_rng(0).permutation(np.array(image_files(good_folder(data))))[:most].tolist()
    pictures = [read_pixels(file) for file in files]
    height, width = pictures[0].shape[:2]
    regions, key = Regions(~ignored(width, height)), source_key(DEFAULT_SOURCE, "source", None)
    preprocessing = Preprocessing(version=2)
    blank = ImageJudge(None, key, preprocessing, regions=regions)  # type: ignore[arg-type]
    prepared = [blank.prepare(pixels) for pixels in pictures]
    third = len(files) // 3
    head = fitted_head(METHOD, [one.whole for one in prepared[:third]], pool, key.source)
    judge, detector = ImageJudge(head, key, preprocessing, regions=regions), Detector(CPU, pool)
    rest = [one.score for one in judge.judge_all(detector, prepared[third:])]
    painted = [judge.prepare(painted_over(pixels, regions)) for pixels in pictures[third : third + UNMOVED]]
    again = [one.score for one in judge.judge_all(detector, painted)]
    return np.array(rest, np.float32), sum(one != other for one, other in zip(again, rest, strict=False))


def ignored(width: int, height: int) -> npt.NDArray[np.bool_]:
    """(height, width): a disc in the middle, the upper left corner and a stripe along the lower edge."""
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), min(width, height) // 6, 1, -1)
    mask[: height // 5, : width // 4] = 1
    mask[-height // 8 :] = 1
    return mask > 0


def painted_over(pixels: npt.NDArray[np.generic], regions: Regions) -> npt.NDArray[np.uint8]:
    """The same with noise wherever it is not looked at."""
    noise = np.random.default_rng(1).integers(0, 256, pixels.shape, np.uint8)
    return np.where(regions.kept[:, :, None], pixels.astype(np.uint8), noise)


if __name__ == "__main__":
    sys.exit(main())
