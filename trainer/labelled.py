"""A folder in the MVTec layout in, its labelled test images out: test/good, test/<defect>, ground_truth/<defect>."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.image_folder import Reason
from models.imaging.channels import Groups
from models.imaging.decode import ImageError
from models.imaging.masks import Mask, read_mask
from trainer.data import LIMITS, DataError, image_files
from trainer.part_files import find_parts

GOOD = "good"
# In ground_truth/<defect>, with any ending of an image, letters of either case.
MASK_FORMS = ("NAME_mask", "NAME", "NAME-mask", "NAME_gt", "NAME_label", "NAME_seg", "mask_NAME")


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

        An empty or damaged mask of a defective part says nothing of where the defect is, so it counts as not known. How
        files are read as masks is said in models.imaging.masks.
        """
        if not self.anomalous:
            return np.zeros((height, width), dtype=bool)
        if self.mask_file is None:
            return None
        try:
            drawn = read_mask(self.mask_file.read_bytes(), LIMITS)
        except (ImageError, OSError):
            return None
        if not drawn.any():
            return None
        shares = np.asarray(cv2.resize(drawn.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA))
        squeezed = shares > 0.5
        return squeezed if squeezed.any() else shares > 0  # a thin scratch fills no pixel by half


def read_labelled_set(data: Path, groups: Groups = ()) -> list[LabelledImage]:
    """All test images by defect and name. Raises DataError where the layout is not there.

    With `groups` of channels a part may be a folder with a file for each of them; its mask has the folder's name.
    """
    test = data / "test"
    if not test.is_dir():
        raise DataError(f"{data} has no folder test; a labelled set has test/good and test/<defect>")
    found: list[LabelledImage] = []
    for folder in sorted(path for path in test.iterdir() if path.is_dir()):
        masks = _masks(data / "ground_truth" / folder.name)
        for file in find_parts(folder, groups=groups).paths:
            stem = file.name if file.is_dir() else file.stem
            mask = next((masks[name] for name in mask_names(stem) if name in masks), None)
            found.append(LabelledImage(file, folder.name, mask))
    kinds = {image.anomalous for image in found}
    if kinds != {True, False}:
        raise DataError(f"{test} needs images in good and in at least one folder of defects")
    return found


def passed_over_in(data: Path, groups: Groups = ()) -> dict[Reason, tuple[str, ...]]:
    """What of test/* and ground_truth/* was not looked at, by reason, named from `data` on."""
    found: dict[Reason, list[str]] = {}
    for part in ("test", "ground_truth"):
        for folder in sorted(path for path in (data / part).glob("*") if path.is_dir()):
            for reason, names in find_parts(folder, groups=groups if part == "test" else ()).passed_over.items():
                found.setdefault(reason, []).extend(f"{part}/{folder.name}/{name}" for name in names)
    return {reason: tuple(names) for reason, names in found.items()}


def mask_names(stem: str) -> list[str]:
    """The stems under which a picture's mask is looked for, in lower case, the most usual one first."""
    return [form.replace("NAME", stem).lower() for form in MASK_FORMS]


def _masks(folder: Path) -> dict[str, Path]:
    """Mask files by their stem in lower case; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {file.stem.lower(): file for file in reversed(image_files(folder))}
