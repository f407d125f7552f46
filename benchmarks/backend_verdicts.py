"""Every image below a folder, judged by every backend of a CPU: do they decide as torch, and how far are scores apart?

`python -m benchmarks.backend_verdicts ARTIFACT FOLDER`. Ends with exit code 1 where a decision differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.artifact import Artifact, active_artifact, load_artifact
from models.backends.choice import BackendName
from models.backends.pool import SourcePool
from models.detector import Detector, Judgement, Row
from models.imaging.decode import decode_image
from models.imaging.preprocess import prepare

BACKENDS: tuple[BackendName, ...] = ("ncnn", "winograd")
AT_ONCE = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge and compare; 0 where all decisions are the same."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("artifact", type=Path)
    options.add_argument("folder", type=Path)
    given = options.parse_args(arguments)
    artifact = load_artifact(active_artifact(given.artifact))
    files = sorted(file for file in given.folder.rglob("*.png") if file.is_file())
    rows = [
        Row(prepare(decode_image(file.read_bytes()), artifact.preprocessing), artifact.head, artifact.source, True)
        for file in files
    ]
    reference = judged("torch", artifact, rows)
    scores = artifact.calibration.scores
    differing = 0
    for backend in BACKENDS:
        differing += tell(backend, artifact, reference, judged(backend, artifact, rows), scores[-1] - scores[0])
    return int(differing > 0)


def judged(backend: BackendName, artifact: Artifact, rows: Sequence[Row]) -> list[Judgement]:
    """Every row by that backend, with its map."""
    pool = SourcePool(torch.device("cpu"), backend=backend)
    pool.require(artifact.source, artifact.workload)
    detector = Detector(pool.device, pool)
    artifact.verify_golden(detector)
    return [found for first in range(0, len(rows), AT_ONCE) for found in detector.judge(rows[first : first + AT_ONCE])]


def tell(backend: str, artifact: Artifact, expected: list[Judgement], found: list[Judgement], spread: float) -> int:
    """Prints one line; returns how many decisions differ."""
    thresholds = artifact.calibration.thresholds()
    pairs = list(zip(expected, found, strict=True))
    differing = sum(thresholds.decide(one.score) != thresholds.decide(other.score) for one, other in pairs)
    furthest = max(abs(one.score - other.score) for one, other in pairs)
    places = max(
        float(np.abs(one.map - other.map).max() / one.map.max())
        for one, other in pairs
        if one.map is not None and other.map is not None
    )
    print(
        f"{backend}: {differing} of {len(pairs)} decisions differ from torch's; scores by at most {furthest:.2g}, "
        f"{100 * furthest / spread:.4f} % of the spread of good scores; a map's place by at most "
        f"{100 * places:.2f} % of its peak"
    )
    return differing


if __name__ == "__main__":
    sys.exit(main())
