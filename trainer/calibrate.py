"""A finished head and the held-out good images in, scores and maps for the calibration out.

For an artifact they go through the same Detector as in the service, from full-precision activations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from models.backends.base import SourceKey
from models.calibration.conformal import Calibration, calibrate
from models.detector import Detector, Row
from models.heads.base import Head
from models.imaging.preprocess import Prepared, Preprocessing, prepare
from trainer.activations import ActivationStore
from trainer.data import prepared_images, read_pixels
from trainer.perturb import Change, perturbations
from trainer.tail_fit import fit_tail

BATCH = 16


class Rates(Protocol):
    """What of the training settings decides a calibration."""

    @property
    def review_rate(self) -> float: ...
    @property
    def ng_rate(self) -> float: ...
    @property
    def map_rate(self) -> float: ...
    @property
    def tail_fit(self) -> bool: ...


class Judged(NamedTuple):
    """Scores (n,) and maps (n, S, S)."""

    scores: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32]


def calibrated(judged: Judged, rates: Rates) -> Calibration:
    """The calibration of held-out images. A set too small to promise the NG rate gets a fitted tail beside it."""
    small = rates.ng_rate * (len(judged.scores) + 1) < 1
    return calibrate(
        judged.scores,
        judged.maps,
        review_rate=rates.review_rate,
        ng_rate=rates.ng_rate,
        map_rate=rates.map_rate,
        tail=fit_tail(judged.scores) if small or rates.tail_fit else None,
    )


def calibration_words(calibration: Calibration) -> Iterator[str]:
    """What a person is told of it: both thresholds, and a warning where the set is small."""
    thresholds = calibration.thresholds()
    for decision, threshold in (("REVIEW", thresholds.review), ("NG", thresholds.ng)):
        if threshold is not None:
            yield f"{decision} above {threshold.value:.4g}: {threshold.origin}"
    rate = calibration.ng_rate
    if rate >= calibration.smallest_rate:
        return
    yield (
        f"beware: {len(calibration.scores)} held-out images are few: no false-reject rate under "
        f"{calibration.smallest_rate:.3g} can be promised, and NG is above the highest of them"
    )
    fitted = calibration.smallest_fitted_rate
    if fitted is not None and rate >= fitted:
        estimate = calibration.fitted_threshold(rate)
        yield f"max_false_reject={rate:g} would put NG above {estimate.value:.4g}: {estimate.origin}"


def judge_all(detector: Detector, head: Head, source: SourceKey, images: Iterable[Prepared]) -> Judged:
    """Every image in order, in batches; all maps are kept in memory (64 KiB each at 128 pixels)."""
    scores: list[float] = []
    maps: list[npt.NDArray[np.float32]] = []
    pending: list[Row] = []

    def flush() -> None:
        for judgement in detector.judge(pending):
            assert judgement.map is not None
            scores.append(judgement.score)
            maps.append(judgement.map)
        pending.clear()

    for image in images:
        pending.append(Row(image, head, source, wants_map=True))
        if len(pending) == BATCH:
            flush()
    if pending:
        flush()
    return Judged(np.asarray(scores, dtype=np.float32), np.stack(maps))


def judge_under(
    detector: Detector,
    head: Head,
    source: SourceKey,
    files: Sequence[Path],
    preprocessing: Preprocessing,
    changes: Sequence[Change] = (),
) -> Judged:
    """Each file as it is and under every perturbation of `changes`: its highest score, and its maps' maximum.

    One value stays one part, so the promise does, too, and covers the changes: at most the promised share of good
    parts lies above the threshold even on the worst of these days.
    """
    worst = judge_all(detector, head, source, prepared_images(tuple(files), preprocessing))
    for perturb in perturbations(changes):
        images = (prepare(perturb(read_pixels(file)), preprocessing) for file in files)
        found = judge_all(detector, head, source, images)
        worst = Judged(np.maximum(worst.scores, found.scores), np.maximum(worst.maps, found.maps))
    return worst


def judge_stored(head: Head, store: ActivationStore, indices: Sequence[int], device: torch.device) -> Judged:
    """The stored images in the order of `indices`, from their cached activations: for studies, never for an artifact.

    Half precision moves a score by less than a thousandth of the good scores' spread.
    """
    scores: list[npt.NDArray[np.float32]] = []
    maps: list[npt.NDArray[np.float32]] = []
    for images, activations in store.batches(indices, device, BATCH):
        output = head.judge(images, activations, [True] * len(images))
        scores.append(output.scores.cpu().numpy())
        maps.append(output.maps.cpu().numpy())
    return Judged(np.concatenate(scores), np.concatenate(maps))
