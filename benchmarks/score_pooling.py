"""Image AUROC by how errors become a score, from one trained cloner: relative or not, by level or not, mean to maximum.

`python -m benchmarks.score_pooling ARTIFACT DATA [--level-light]`. The artifact's cloner is taken as it is; what is
usual on good parts is measured anew on DATA/train/good for each variant. `--level-light` scales every picture to the
training set's median brightness first, for sets whose light differs between good and defective parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.artifact import load_artifact
from models.discrepancy import discrepancy_terms, power_mean
from models.engines.pool import SourcePool
from models.heads.mkd import MkdHead
from models.heads.mkd_trainee import MkdRecipe, Usual
from models.preprocess import prepare
from trainer.data import good_folder, image_files, read_pixels
from trainer.labelled import read_labelled_set
from trainer.light import level, usual_median
from trainer.metrics import auroc

BATCH = 16
MOST_TRAINING_IMAGES = 256  # both networks' activations of all of them are kept in memory, 2 MB each at 128 pixels
POWERS = (1.0, 2.0, 4.0, 8.0)
Pair = tuple[list[Tensor], list[Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--level-light", action="store_true")
    given = parser.parse_args()
    artifact = load_artifact(given.artifact)
    head = artifact.head
    if not isinstance(head, MkdHead):
        raise SystemExit(f"{given.artifact} is of the method {head.method}; this compares poolings of mkd")
    pool = SourcePool(torch.device("cpu"))
    engine = pool.require(artifact.source)
    good = image_files(good_folder(given.data))
    chosen = np.random.default_rng(0).permutation(len(good))[:MOST_TRAINING_IMAGES]
    target = usual_median(good) if given.level_light else None

    @torch.no_grad()
    def pairs(files: list[Path]) -> Iterator[Pair]:
        for start in range(0, len(files), BATCH):
            pixels = [read_pixels(file) for file in files[start : start + BATCH]]
            if target is not None:
                pixels = [level(one, target) for one in pixels]
            images = torch.from_numpy(np.stack([prepare(one, artifact.preprocessing) for one in pixels]))
            yield head.scaled(engine.activations(images)), head.cloner(images)

    training = list(pairs([good[int(index)] for index in chosen]))
    labelled = read_labelled_set(given.data)
    test = list(pairs([image.file for image in labelled]))
    anomalous = np.array([image.anomalous for image in labelled])
    print(
        f"{given.data.name}{', light levelled' if given.level_light else ''}: image AUROC in %, {len(labelled)} images"
    )
    print(f"{'relative':<10}{'levels':<8}" + "".join(f"{f'p = {power:g}':>8}" for power in POWERS))
    for relative in (False, True):
        for levels in (False, True):
            cells = []
            for power in POWERS:
                recipe = MkdRecipe(score_power=power, score_relative=relative, score_levels=levels)
                cells.append(auroc(anomalous, _scores(recipe, training, test)))
            print(
                f"{'yes' if relative else 'no':<10}{'yes' if levels else 'no':<8}"
                + "".join(f"{100 * c:8.1f}" for c in cells)
            )


def _scores(recipe: MkdRecipe, training: list[Pair], test: list[Pair]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The val terms of every tap, each divided by its mean on good parts, summed."""
    usual = Usual.over(recipe, training)
    found = []
    for source, cloned in test:
        power = recipe.score_power
        terms = discrepancy_terms(source, cloned, power, relative=recipe.score_relative, levels=usual.levels or None)
        found.append((power_mean(terms, power)[..., 0] / usual.score_terms[:, 0]).sum(dim=1))
    return np.asarray(torch.cat(found).numpy(), dtype=np.float32)


if __name__ == "__main__":
    main()
