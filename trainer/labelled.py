"""A folder in the MVTec layout in, its labelled test images out: test/good, test/<defect>, ground_truth/<defect>."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.decode import ImageError
from trainer.data import DataError, image_files, read_pixels

GOOD = "good"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledImage:
    """One test image; `defect` is the folder's name, "good" for good parts. `mask_file` may be missing."""

    file: Path
    defect: str
    mask_file: Path | None

    @property
    def anomalous(self) -> bool:
        """Whether this is a defective part."""
        return self.defect != GOOD

    def mask(self, width: int, height: int) -> Mask | None:
        """Where the defect is, (height, width); all False for a good part, None where it is not known.

        An empty or damaged mask of a defective part says nothing of where the defect is, so it counts as not known.
        """
        if not self.anomalous:
            return np.zeros((height, width), dtype=bool)
        if self.mask_file is None:
            return None
        try:
            grey = read_pixels(self.mask_file)[:, :, 0]
        except ImageError:
            return None
        if not grey.any():
            return None
        white = np.iinfo(grey.dtype).max
        resized = cv2.resize(grey.astype(np.float32) / white, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized) > 0.5


def read_labelled_set(data: Path) -> list[LabelledImage]:
    """All test images by defect and name. Raises DataError where the layout is not there."""
    test = data / "test"
    if not test.is_dir():
        raise DataError(f"{data} has no folder test; a labelled set has test/good and test/<defect>")
    found: list[LabelledImage] = []
    for folder in sorted(path for path in test.iterdir() if path.is_dir()):
        for file in image_files(folder):
            mask = data / "ground_truth" / folder.name / f"{file.stem}_mask.png"
            found.append(LabelledImage(file, folder.name, mask if mask.is_file() else None))
    kinds = {image.anomalous for image in found}
    if kinds != {True, False}:
        raise DataError(f"{test} needs images in good and in at least one folder of defects")
    return found
