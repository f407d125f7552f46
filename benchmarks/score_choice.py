"""Scores and maps beside each other from one trained cloner: on made-up defects, for choosing, and on real ones.

`python -m benchmarks.score_choice ARTIFACT DATA [--level-light]`. DATA/train/good is split as in training. The first
figures of a line need no label: AUROC of held-out good pictures against the same with painted defects, averaged over
the kinds of trainer/painted. The others are of DATA/test: to be told, not to choose by.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from models.heads.parts.whitening import View

from models.artifact import load_artifact
from models.backends.pool import SourcePool
from models.heads.mkd.fit import MkdRecipe, MkdTrainee
from models.heads.mkd.head import MkdHead
from models.imaging.decode import Pixels
from models.imaging.preprocess import prepare
from trainer.activations import ActivationStore
from trainer.calibrate import judge_stored
from trainer.config import RECIPES
from trainer.data import read_pixels, read_training_set, split
from trainer.labelled import read_labelled_set
from trainer.levelling import level, usual_median
from trainer.metrics import auroc, pixel_auroc
from trainer.painted.kinds import KINDS
from trainer.painted.paint import Mask, Painted
from trainer.painted.painted_set import painted_set
from trainer.painted.separation import separation

CPU = torch.device("cpu")
PAINTED_SEED = 5


def views(*words: str) -> tuple[View, ...]:
    """pool4:25 -> View(tap="pool4", window=25)."""
    return tuple(View.model_validate(dict(zip(("tap", "window"), word.split(":"), strict=True))) for word in words)


QUARTER = ("pool3:25", "pool4:25", "pool5:25")
DEFAULT = RECIPES["default"]
VARIANTS: Mapping[str, MkdRecipe] = {
    "paper": RECIPES["paper"],
    "plain errors, relative, by level, p = 4; map forward": MkdRecipe(
        score_loss="val",
        score_balance="terms",
        score_power=4.0,
        score_relative=True,
        score_levels=True,
        map_loss="val",
        map_balance="terms",
        attribution="discrepancy",
    ),
    "plain errors, p = 1; map gradient of squared errors": MkdRecipe(
        score_loss="val",
        score_balance="terms",
        map_taps=("pool2", "pool3", "pool4"),
        map_loss="val",
        map_balance="terms",
        map_power=2.0,
    ),
    "distances, single places": DEFAULT.model_copy(
        update={"score_views": views("pool3:0", "pool4:0", "pool5:0"), "map_views": views("pool3:0", "pool4:0")}
    ),
    "distances, windows of a quarter": DEFAULT.model_copy(
        update={"score_views": views(*QUARTER), "map_views": views("pool3:25", "pool4:25")}
    ),
    "distances, whole picture": DEFAULT.model_copy(update={"score_views": views("pool4:100")}),
    "default": DEFAULT,
    "default, without pool5": DEFAULT.model_copy(update={"score_views": views("pool3:25", "pool4:25", "pool4:100")}),
    "default, p = 4": DEFAULT.model_copy(update={"score_power": 4.0}),
    "default, map of plain distances": DEFAULT.model_copy(update={"map_log": False}),
    "default, map of single places": DEFAULT.model_copy(update={"map_views": views("pool3:0")}),
    "default, map by its gradient": DEFAULT.model_copy(update={"attribution": "gradients"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--level-light", action="store_true", help="scale every picture to the usual median brightness")
    given = parser.parse_args()
    artifact = load_artifact(given.artifact)
    head = artifact.head
    if not isinstance(head, MkdHead):
        raise SystemExit(f"{given.artifact} is of the method {head.method}; this compares scores of mkd")
    settings = artifact.manifest.training.settings
    good, labelled = read_training_set(given.data), read_labelled_set(given.data)
    trained, held = split(len(good.files), float(str(settings["hold_out"])), int(str(settings["seed"])))
    target = usual_median(good.files) if given.level_light else None
    defects = _made_up([good.files[index] for index in held], target)
    made_up = [defect.pixels for defect in defects]
    pictures = [*_lit((*good.files, *(one.file for one in labelled)), target), *made_up]
    engine = SourcePool(CPU).require(artifact.source)
    size = artifact.preprocessing.image_size
    first = len(good.files)
    tests, paints = range(first, first + len(labelled)), range(first + len(labelled), len(pictures))
    title = f"{given.data.name}{', light levelled' if given.level_light else ''}"
    print(f"{title}: AUROC in %, {len(held)} held out, {len(paints)} painted, {len(labelled)} test images")
    print(f"{'':54}painted: image  pixel   test: image  pixel")
    with (
        tempfile.TemporaryDirectory() as folder,
        ActivationStore(len(pictures), size, engine, folder=Path(folder)) as store,
    ):
        store.fill(prepare(picture, artifact.preprocessing) for picture in pictures)
        for name, recipe in VARIANTS.items():
            variant = _variant(head, recipe, store, trained, held)
            calm, paint, test = (judge_stored(variant, store, rows, CPU) for rows in (held, paints, tests))
            known = [(one.mask(size, size), test.maps[number]) for number, one in enumerate(labelled)]
            real = [(mask, found) for mask, found in known if mask is not None]
            with_masks = any(mask.any() for mask, _ in real)
            anomalous = np.array([one.anomalous for one in labelled])
            cells = [
                separation(calm.scores, paint.scores, defects).overall,
                pixel_auroc([_small(defect.mask, size) for defect in defects], list(paint.maps)),
                auroc(anomalous, test.scores),
                pixel_auroc([mask for mask, _ in real], [found for _, found in real]) if with_masks else None,
            ]
            told = ["    -" if cell is None else f"{100 * cell:5.1f}" for cell in cells]
            print(f"{name:54}         {told[0]}  {told[1]}         {told[2]}  {told[3]}", flush=True)


def _variant(head: MkdHead, recipe: MkdRecipe, store: ActivationStore, trained: list[int], held: list[int]) -> MkdHead:
    """That cloner, judging as the recipe says."""
    trainee = MkdTrainee(recipe, dict(zip(head.config.taps, head.config.tap_scales, strict=True)))
    trainee.cloner = head.cloner
    trainee.eval().lambda_dir.fill_(1.0)
    return trainee.finish(store.batches(trained, CPU), store.batches(held, CPU)).eval()


def _made_up(files: list[Path], target: float | None) -> list[Painted]:
    """One defect of each kind for each picture, kinds that cannot be seen on a picture replaced by others."""
    return list(painted_set(_lit(files, target), len(KINDS), PAINTED_SEED))


def _lit(files: Iterable[Path], target: float | None) -> Iterator[Pixels]:
    for file in files:
        pixels = read_pixels(file)
        yield pixels if target is None else level(pixels, target)


def _small(mask: Mask, size: int) -> Mask:
    return cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) > 0.5


if __name__ == "__main__":
    main()
