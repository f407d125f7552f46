"""Judges sets of good images: through the same detector as in the service, or from cached activations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.calibration.recalibration import ScoresAndMaps
from models.detector import Detector
from models.heads.base import Head
from models.image_judge import BATCH_IMAGES, ImageJudge, PreparedImage
from models.imaging.channels import changed_groups
from trainer.activations import ActivationStore
from trainer.data import LIMITS, part_bytes, read_pixels
from trainer.perturb import Change, perturbations


def judge_all(detector: Detector, judge: ImageJudge, images: Iterable[PreparedImage]) -> ScoresAndMaps:
    """Every image in order, in batches; all maps are kept in memory (64 KiB each at 128 pixels)."""
    scores: list[float] = []
    maps: list[npt.NDArray[np.float32]] = []
    groups: list[str | None] = []
    for judgement in judge.judge_all(detector, images, wants_map=True):
        assert judgement.map is not None
        scores.append(judgement.score)
        maps.append(judgement.map)
        groups.append(judgement.group)
    return ScoresAndMaps(np.asarray(scores, dtype=np.float32), np.stack(maps), tuple(groups))


def judge_under(
    detector: Detector, judge: ImageJudge, files: Sequence[Path], changes: Sequence[Change] = ()
) -> ScoresAndMaps:
    """Each file as it is and under every perturbation of `changes`: its highest score, and its maps' maximum.

    One value stays one part, so the promise does, too, and covers the changes: at most the promised share of good
    parts lies above the threshold even on the worst of these days.
    """
    groups = judge.preprocessing.groups
    worst = judge_all(detector, judge, (judge.prepare_file(part_bytes(file), LIMITS) for file in files))
    for perturb in perturbations(changes):
        changed = (changed_groups(read_pixels(file, groups), groups, perturb) for file in files)
        found = judge_all(detector, judge, (judge.prepare(pixels) for pixels in changed))
        worst = ScoresAndMaps(np.maximum(worst.scores, found.scores), np.maximum(worst.maps, found.maps))
    return worst


def judge_stored(head: Head, store: ActivationStore, indices: Sequence[int], device: torch.device) -> ScoresAndMaps:
    """The stored images in the order of `indices`, from their cached activations: for studies, never for an artifact.

    Half precision moves a score by less than a thousandth of the good scores' spread.
    """
    scores: list[npt.NDArray[np.float32]] = []
    maps: list[npt.NDArray[np.float32]] = []
    for images, activations in store.batches(indices, device, BATCH_IMAGES):
        further = None
        if head.needs.further_pass:
            further = store.backend.activations(head.changed(images, activations), head.needs.taps)
        output = head.judge(images, activations, [True] * len(images), further)
        scores.append(output.scores.cpu().numpy())
        maps.append(output.maps.cpu().numpy())
    return ScoresAndMaps(np.concatenate(scores), np.concatenate(maps))
