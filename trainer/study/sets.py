"""A data set of a plan in, folders in the MVTec layout out: drawn classes and levelled pictures are written once.

So every set of a study can also be trained and evaluated by hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from models.imaging.decode import ImageError
from trainer.data import DataError, good_folder, image_files, read_pixels
from trainer.levelling import level, usual_median
from trainer.study.fashion import CLASS_NAMES, Draw, write_class
from trainer.study.plan import DataPlan


class StudySet(NamedTuple):
    """A folder in the MVTec layout. `group` is the plan's data set, which may be several such folders."""

    name: str
    group: str
    path: Path
    plan: DataPlan


def study_sets(plan: DataPlan, folder: Path) -> Iterator[StudySet]:
    """Yields the plan's set, or one for each class. What must be written goes under `folder`, whole or not at all.

    Raises DataError where the data is not there or not in its layout.
    """
    if not plan.path.is_dir():
        raise DataError(f"{plan.path} is not there")
    if plan.kind == "folder":
        yield StudySet(plan.name, plan.name, _levelled(plan.path, folder, plan), plan)
        return
    draw = Draw(plan.train_images, plan.test_good, plan.test_others, plan.draw_seed)
    for label in plan.classes:
        name = f"{plan.name}-{label}-{CLASS_NAMES[label]}"
        drawn = _written(
            folder / f"{name}-{_mark((str(plan.path.resolve()), draw))}",
            lambda out, label=label: write_class(plan.path, out, label, draw),  # type: ignore[misc]
        )
        yield StudySet(name, plan.name, _levelled(drawn, folder, plan), plan)


def _levelled(data: Path, folder: Path, plan: DataPlan) -> Path:
    if not plan.level_light:
        return data
    states = [(file.name, file.stat().st_mtime_ns) for file in sorted(data.rglob("*.*")) if file.is_file()]
    goal = folder / f"{data.name}-levelled-{_mark((str(data.resolve()), states))}"
    return _written(goal, lambda out: _level_set(data, out))


def _level_set(data: Path, out: Path) -> None:
    good = image_files(good_folder(data))
    target = usual_median(good)
    _level_all(good, out / "train" / "good", target)
    for folder in sorted(path for path in (data / "test").iterdir() if path.is_dir()):
        _level_all(image_files(folder), out / "test" / folder.name, target)
    if (data / "ground_truth").is_dir():
        shutil.copytree(data / "ground_truth", out / "ground_truth")


def _level_all(files: list[Path], out: Path, target: float) -> None:
    out.mkdir(parents=True)
    for file in files:
        goal = out / f"{file.stem}.png"
        if goal.exists():
            raise DataError(f"{file.parent} has two pictures named {file.stem}; levelling writes both as {goal.name}")
        try:
            pixels = level(read_pixels(file), target)
        except ImageError:
            shutil.copy(file, goal)  # whoever reads the set says so and leaves it out, as with the original
            continue
        if not cv2.imwrite(str(goal), np.ascontiguousarray(pixels[:, :, ::-1])):
            raise OSError(f"{goal}: cannot be written")


def _written(goal: Path, write: Callable[[Path], None]) -> Path:
    if goal.is_dir():
        return goal
    goal.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{goal.name}.", dir=goal.parent))
    try:
        write(beside)
        beside.chmod(0o755)
        os.replace(beside, goal)
    except OSError:
        if not goal.is_dir():  # another process of the same study may have been faster
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return goal


def _mark(what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
