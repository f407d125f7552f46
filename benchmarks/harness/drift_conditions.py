"""An artifact and its data in; score and input statistics of parts never trained on, as they are and changed, out.

Light, lens and place are changed on the network's input (S x S), so that a pixel and a sigma mean the same for every
product. Measured once and kept in a file: what follows only draws from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models.artifact import Artifact, active_artifact, load_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Row
from models.imaging.input_statistics import measure
from models.imaging.preprocess import Prepared, prepare
from trainer.data import image_files, read_pixels, split
from trainer.training_set import read_training_set

AS_IT_IS = "as it is"
BATCH = 16
MOST_DEFECTS = 120
Change = Callable[[Prepared], Prepared]
Measured = dict[str, npt.NDArray[np.float64]]  # condition -> (images, 1 + statistics), the score first


def dimmed(percent: float) -> Change:
    """Less light, in steps of an 8-bit camera."""
    return lambda image: np.rint(image * (1 - percent / 100) * 255).astype(np.float32) / np.float32(255)


def defocused(sigma: float) -> Change:
    """A Gaussian blur of `sigma` pixels."""
    return lambda image: _each_channel(image, lambda channel: cv2.GaussianBlur(channel, (0, 0), sigma))


def shifted(pixels: int) -> Change:
    """To the right; what comes in from the left is mirrored."""
    return lambda image: np.ascontiguousarray(
        np.pad(image, ((0, 0), (0, 0), (pixels, 0)), mode="reflect")[:, :, : image.shape[2]]
    )


def _each_channel(image: Prepared, change: Callable[[npt.NDArray[np.float32]], cv2.typing.MatLike]) -> Prepared:
    return np.stack([np.asarray(change(channel), dtype=np.float32) for channel in image])


CONDITIONS: dict[str, Change] = {
    AS_IT_IS: lambda image: image,
    **{f"light -{percent} %": dimmed(percent) for percent in (2, 5, 10)},
    **{f"defocus {sigma:g} px": defocused(sigma) for sigma in (0.5, 1.0, 2.0)},
    **{f"shift {pixels} px": shifted(pixels) for pixels in (2, 4, 8)},
}


def measured(artifact_path: Path, data: Path, keep: Path, threads: int) -> Measured:
    """Every condition of the held-out training images and of the good test images; defects as they are.

    Kept as a file in `keep` and read from there the next time.
    """
    artifact = load_artifact(active_artifact(artifact_path))
    file = keep / f"{artifact.manifest.product}-{artifact.sha256[:12]}.npz"
    if file.is_file():
        with np.load(file) as found:
            return {name: found[name] for name in found.files}
    pool = SourcePool(torch.device("cpu"), threads=threads)
    pool.require(artifact.source, artifact.workload)
    detector = Detector(torch.device("cpu"), pool)
    held_out = held_out_files(artifact, data)
    test_good = image_files(data / "test" / "good")
    defects = [one for kind in sorted((data / "test").iterdir()) if kind.name != "good" for one in image_files(kind)]
    few = np.random.default_rng(0).permutation(len(defects))[:MOST_DEFECTS]
    found = {}
    for name, change in CONDITIONS.items():
        found[name] = _judge(artifact, detector, held_out, change)
        found[f"test good, {name}"] = _judge(artifact, detector, test_good, change)
        print(f"{file.name}: {name}", flush=True)
    found["defects"] = _judge(artifact, detector, [defects[int(index)] for index in few], CONDITIONS[AS_IT_IS])
    keep.mkdir(parents=True, exist_ok=True)
    np.savez(file, **found)
    return found


def held_out_files(artifact: Artifact, data: Path) -> list[Path]:
    """The calibration images, by the split that the training run drew."""
    settings = artifact.manifest.training.settings
    known = read_training_set(data)
    if known.sha256 != artifact.manifest.training.data_sha256:
        raise SystemExit(f"{data} is not what {artifact.path} was trained on")
    if artifact.manifest.training.folds is not None:
        raise SystemExit(f"{artifact.path} was calibrated by folds: no image was held out")
    hold_out, seed = settings["hold_out"], settings["seed"]
    assert isinstance(hold_out, float)
    assert isinstance(seed, int)
    return [known.files[index] for index in split(len(known.files), hold_out, seed)[1]]


def _judge(artifact: Artifact, detector: Detector, files: Sequence[Path], change: Change) -> npt.NDArray[np.float64]:
    rows = []
    for start in range(0, len(files), BATCH):
        pixels = [read_pixels(file) for file in files[start : start + BATCH]]
        images = [change(prepare(one, artifact.preprocessing)) for one in pixels]
        judged = detector.judge([Row(image, artifact.head, artifact.source) for image in images])
        for one, image, judgement in zip(pixels, images, judged, strict=True):
            rows.append([judgement.score, *measure(image, one.shape[1], one.shape[0])])
    return np.array(rows)
