"""Says how near two regions of a product must be to be alike, by crops of good parts that have no defect in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from models.artifact import Artifact
from models.imaging.decode import ImageError, ImageLimits, Pixels
from service.feedback.defect_groups.descriptors import Descriptors, good_crops, good_distance
from service.feedback.pictures import PictureFolder


def good_distance_of(
    descriptors: Descriptors,
    artifact: Artifact,
    pictures: PictureFolder,
    names: Sequence[tuple[str, int]],
    limits: ImageLimits | None = None,
) -> float:
    """See `descriptors.good_distance`. Of the artifact's golden pictures and of kept pictures (name and bytes).

    Places are drawn by the artifact's hash. With one good picture alone its crops are compared with each other. Raises
    SourceWeightsError.
    """
    random = np.random.default_rng(int(artifact.sha256[:16], 16))
    white = artifact.preprocessing.sixteen_bit_white
    found, of = [], []
    for number, pixels in enumerate(_good_pictures(artifact, pictures, names, limits)):
        crops = descriptors.of(artifact.source, good_crops(pixels, white, random))
        found.append(crops)
        of += [number] * len(crops)
    alone = len(found) == 1
    return good_distance(np.concatenate(found), range(len(of)) if alone else of)


def _good_pictures(
    artifact: Artifact, pictures: PictureFolder, names: Sequence[tuple[str, int]], limits: ImageLimits | None
) -> Iterator[Pixels]:
    views = artifact.judge.views  # of lights the first
    for golden in artifact.manifest.golden:
        if not golden.defect:
            yield views.picture_of((artifact.path / golden.file).read_bytes())
    for name, size in names:
        with suppress(OSError, ImageError):  # it was thinned away meanwhile
            yield views.picture_of(pictures.read(name, size), limits)
