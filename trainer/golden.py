"""Makes an artifact's golden pictures: some good ones, and one with a painted defect that the head must see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.artifact import GoldenRecord
from models.detector import Detector, Judgement
from models.image_judge import ImageJudge
from models.imaging.channels import Groups, group_pictures
from models.imaging.decode import Pixels
from models.imaging.grouped_decode import decode_groups
from models.imaging.preprocess import Preprocessing
from models.imaging.stack import StackFile, as_stack
from trainer.data import LIMITS, read_pixels
from trainer.data_checks.result import CheckResult
from trainer.data_checks.scores import check_separation
from trainer.painted.part_set import plain_on_parts
from trainer.painted.scene import CannotPaint

GOLDEN_SIDE = 512  # golden pictures are kept at most this large, to keep the artifact small; see kept_side
PAINTED = 12  # defects at least: fewer would tell a head that sees from one that does not by chance alone
PICTURES = 12  # good pictures at most that are painted on
Scores = npt.NDArray[np.float32]


class GoldenPictures(NamedTuple):
    """Files and their records, in one order; the defect is the last, and missing where none can be painted."""

    files: list[bytes]
    records: list[GoldenRecord]
    separation: CheckResult


def golden_pictures(
    files: Sequence[Path], scores: Scores, judge: ImageJudge, detector: Detector, seed: int
) -> GoldenPictures:
    """Held-out good pictures and their scores (n,) -> the golden ones, with what was found of painted defects.

    Good ones are those of the lowest, the middle and the highest score. Defects are painted on these and on others
    spread over the rest; the one that scores highest is kept.
    """
    chosen = list(dict.fromkeys([*spread(scores), *_evenly(len(files))]))[: max(PICTURES, 3)]
    kept = min(len(spread(scores)), len(chosen))
    most = kept_side(judge.preprocessing)
    groups = judge.preprocessing.groups
    kept_files = [_small_file(read_pixels(files[index], groups), groups, most) for index in chosen]
    pictures = [decode_groups(data, groups, LIMITS).pixels for data in kept_files]
    good = _judged(pictures, judge, detector)
    ending = "tar" if groups else "png"
    records = [_record(f"{number:03}.{ending}", one) for number, one in enumerate(good[:kept])]
    try:
        painted = list(_painted(pictures, groups, seed))
    except CannotPaint as error:
        return GoldenPictures(kept_files[:kept], records, CheckResult(True, (str(error),)))
    found = _judged(painted, judge, detector)
    result = check_separation(_scores(good), _scores(found))
    best = int(np.nanargmax(_scores(found))) if np.isfinite(_scores(found)).any() else None
    if best is None:
        return GoldenPictures(kept_files[:kept], records, result)
    record = _record(f"defect.{ending}", found[best]).model_copy(update={"defect": True})
    defect = _small_file(painted[best], groups, most)
    return GoldenPictures([*kept_files[:kept], defect], [*records, record], result)


def judged_again(golden: GoldenPictures, judge: ImageJudge, detector: Detector) -> GoldenPictures:
    """The same pictures with what another head says of them; what was found of painted defects stays."""
    pictures = [decode_groups(data, judge.preprocessing.groups, LIMITS).pixels for data in golden.files]
    judged = zip(golden.records, _judged(pictures, judge, detector), strict=True)
    records = [
        _record(one.file.removeprefix("golden/"), judgement).model_copy(update={"defect": one.defect})
        for one, judgement in judged
    ]
    return golden._replace(records=records)


def kept_side(preprocessing: Preprocessing) -> int | None:
    """The longer side to which golden pictures are shrunk; None where they stay as they are.

    Tiles are laid out for one size. A picture that was shrunk below the input and is enlarged again is blurred, and
    strange by that alone.
    """
    return None if preprocessing.tiles is not None else max(GOLDEN_SIDE, preprocessing.image_size)


def spread(scores: Scores) -> list[int]:
    """The places of the lowest, the middle and the highest score."""
    order = np.argsort(scores, kind="stable")
    return list(dict.fromkeys(int(order[place]) for place in (0, len(order) // 2, len(order) - 1)))


def check_golden_defect(records: Sequence[GoldenRecord], tolerance: float) -> CheckResult:
    """Degenerate where the painted defect does not score above all good ones by more than scores may be off elsewhere.

    `tolerance` is how far one golden score may be off (models.artifact.golden_tolerance).
    """
    top = max(one.score for one in records if not one.defect)
    defects = [one.score for one in records if one.defect]
    if defects and max(defects) > top + 2 * tolerance:
        return CheckResult(False, ())
    found = f"the highest of them scores {max(defects):.4g}" if defects else "none could be painted"
    return CheckResult(
        True, (f"no painted defect scores above the good golden pictures ({top:.4g}): {found}; the head sees nothing",)
    )


def _painted(pictures: Sequence[Pixels], groups: Groups, seed: int) -> Iterator[Pixels]:
    for turn in range(-(-PAINTED // len(pictures))):
        for painted in plain_on_parts(pictures, groups, seed + turn):
            yield painted.pixels


def _evenly(count: int) -> list[int]:
    return [int(place) for place in np.linspace(0, count - 1, min(count, PICTURES)).round()]


def _judged(pictures: Sequence[Pixels], judge: ImageJudge, detector: Detector) -> list[Judgement]:
    return list(judge.judge_all(detector, (judge.prepare(pixels) for pixels in pictures), wants_map=True))


def _scores(judged: Sequence[Judgement]) -> Scores:
    return np.array([one.score for one in judged], dtype=np.float32)


def _record(name: str, judgement: Judgement) -> GoldenRecord:
    assert judgement.map is not None
    return GoldenRecord(file=f"golden/{name}", score=judgement.score, map_peak=float(judgement.map.max()))


def _small_file(pixels: Pixels, groups: Groups, most: int | None) -> bytes:
    """A PNG; of a part with groups of channels a stack with a PNG for each group."""
    if not groups:
        return _small_png(pixels, most)
    pictures = zip(groups, group_pictures(pixels, groups), strict=True)
    return as_stack(StackFile(f"{group.name}.png", _small_png(picture, most)) for group, picture in pictures)


def _small_png(pixels: Pixels, most: int | None) -> bytes:
    height, width = pixels.shape[:2]
    shrink = 1.0 if most is None else most / max(height, width)
    if shrink < 1:
        size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return encoded.tobytes()
