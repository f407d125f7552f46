"""Says how many images a calibration would need for what it is asked, and whether folds would give it as many.

By folds all good pictures calibrate, not only those that are held out: where there are enough of them, and the method
is fitted without steps, that takes seconds and no further picture.
"""

from __future__ import annotations

import math

from models.artifact import Manifest
from models.calibration.conformal import Calibration, images_for_review
from trainer.fit_run import trained_in_steps


def images_wanted(calibration: Calibration) -> int | None:
    """How many images would give REVIEW a threshold of its own, or promise the NG rate; None where they are enough."""
    review, ng = calibration.thresholds()
    if review is not None and review.value >= ng.value and review.rate_asked > ng.rate_asked:
        return images_for_review(review.rate_asked, ng.rate_asked) or len(calibration.scores)
    return math.ceil(1 / ng.rate_asked) - 1 if ng.rate_promised > ng.rate_asked else None


def folds_words(manifest: Manifest) -> str | None:
    """What to do where the held-out images are too few and all of them would not be; else None."""
    training, wanted = manifest.training, images_wanted(manifest.calibration)
    if wanted is None or training.folds is not None or manifest.recalibration is not None:
        return None
    trained = training.images_trained if training.independent_trained is None else training.independent_trained
    every = trained + training.independent_calibrated
    if every < wanted or trained_in_steps(training.outcome):
        return None
    counted = f"thresholds are counted on all {every} good images then"
    return f"fit with --calibrate-by folds: {counted}, and {wanted} are enough"
