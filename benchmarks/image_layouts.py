"""Reads 2,000 seeded pictures of all layouts, depths, orientations and damages, and looks for a silent difference.

    python -m benchmarks.image_layouts [--pictures N] [--seed N]

A picture that is accepted must give what was written (numpy's answer), or what at least one other decoder gives: of
Pillow, OpenCV, and tifffile with imagecodecs. One step is allowed where colours are blended, two where the format is
lossy. Anything else that is accepted is a silent difference, is printed with its number, and makes the exit code 1.
Refusals are counted by code. A whole file whose layout is in the table must not be refused.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.harness.layout_files import Case, Written, cases, write
from benchmarks.harness.layout_references import references
from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging.decode import ImageError, decode_image

Values = npt.NDArray[Any]
DAMAGES = ("whole", "whole", "whole", "cut", "byte", "bytes", "gap", "header", "foreign")

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "TIFF", "TIFF")  # TIFF has by far the most layouts


def main() -> int:
    """Prints the table; 1 where a picture was accepted with other pixels, or refused without cause."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    table = list(cases())
    counts: Counter[tuple[str, str, str]] = Counter()
    wrong: list[str] = []
    for number in range(given.pictures):
        random = np.random.default_rng([given.seed, number])
        kind = str(random.choice(FORMATS))
        of_kind = [case for case in table if case.layout.format == kind]
        case = of_kind[int(random.integers(len(of_kind)))]
        damage = str(random.choice(DAMAGES))
        outcome = one(case, damage, random)
        counts["TIFF" if damage == "foreign" else case.layout.format, damage, outcome] += 1
        if outcome.startswith(("SILENT", "REFUSED")):
            wrong.append(f"picture {number} of seed {given.seed}: {case.name}, {damage}: {outcome}")
    print_table(counts)
    print("\n".join(wrong) or f"{given.pictures} pictures, no silent difference")
    return bool(wrong)


def one(case: Case, damage: str, random: np.random.Generator) -> str:
    """Writes, damages and reads one picture -> what became of it in words."""
    size = (int(random.integers(8, 40)), int(random.integers(8, 40)))
    written = write(case, random, size, orientation=int(random.integers(1, 9)))
    data = foreign(random, size) if damage == "foreign" else damaged(written.data, damage, random)
    try:
        found = decode_image(data)
    except ImageError as error:
        return f"REFUSED {error.code}: {error.detail}" if damage == "whole" else error.code
    if damage != "foreign" and equal(found, written.expected, written):
        return "equal"
    if any(equal(found, other, written) for other in references(data).values()):
        return "equal to another decoder" if damage == "whole" else "changed, as other decoders see it"
    return "SILENT DIFFERENCE"


def equal(found: Values, other: Values | None, written: Written) -> bool:
    """Whether two pictures are the same, to within one step where blending or a lossy format rounds."""
    if other is None or found.shape != other.shape or found.dtype != other.dtype:
        return False
    allowed = 2 if written.expected is None else int(written.blended)
    return int(np.abs(found.astype(np.int64) - other).max()) <= allowed


def damaged(data: bytes, damage: str, random: np.random.Generator) -> bytes:
    """The file cut, with bytes changed, with some missing, or with its header changed."""
    place = int(random.integers(2, len(data)))
    if damage == "cut":
        return data[:place]
    if damage == "gap":
        return data[:place] + data[place + int(random.integers(1, 9)) :]
    array = np.frombuffer(data, np.uint8).copy()
    if damage in {"byte", "bytes"}:
        places = random.integers(2, len(data), 1 if damage == "byte" else 5)
        array[places] ^= random.integers(1, 256, len(places), dtype=np.uint8)
    elif damage == "header":
        array[int(random.integers(4, min(len(data), 200)))] = random.integers(0, 256)
    return array.tobytes()


def foreign(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    """A TIFF of a layout that is not in the table."""
    kind = int(random.integers(6))
    grey = random.integers(0, 256, (*size, 1)).astype(np.uint8)
    colour = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    if kind == 0:
        return write_tiff(grey.astype(np.float32), TiffLayout(bits=32, sample_format=3))
    if kind == 1:
        return write_tiff(grey.astype(np.uint16), TiffLayout(bits=16, sample_format=2))
    if kind == 2:
        return write_tiff(colour, TiffLayout(photometric=8))
    if kind == 3:
        return write_tiff(colour, TiffLayout(photometric=6))
    if kind == 4:
        return write_tiff(np.dstack([colour, grey, grey]), TiffLayout(photometric=2, extra=(0, 0)))
    return write_tiff(grey.astype(np.uint32), TiffLayout(bits=32))


def print_table(counts: Counter[tuple[str, str, str]]) -> None:
    """Outcomes down, formats across."""
    formats = sorted({key[0] for key in counts})
    outcomes = sorted({(key[1], key[2].split(":")[0]) for key in counts})
    print(f"{'what was done':10} {'what became of it':36}" + "".join(f"{name:>7}" for name in formats))
    for damage, outcome in outcomes:
        alike = {key: n for key, n in counts.items() if (key[1], key[2].split(":")[0]) == (damage, outcome)}
        cells = [sum(n for key, n in alike.items() if key[0] == name) for name in formats]
        print(f"{damage:10} {outcome:36}" + "".join(f"{cell:7}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
