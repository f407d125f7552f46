"""A start judges all golden pictures, and one where all have passed before under the same conditions."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from models.artifact import Artifact, ArtifactError, golden_tolerance
from models.artifact.golden_check import FOLDER, GoldenChecks, PassedCheck
from models.backends import conditions
from models.backends.base import SourceKey
from models.backends.conditions import score_conditions
from models.detector import Detector, Judgement, Row
from models.kept_records import KeptRecords

CPU = torch.device("cpu")
SOURCE = SourceKey("vgg16", "0" * 64, "source")
Change = Callable[[Sequence[float]], Sequence[float]]


class CountingDetector(Detector):
    """Adds `off` to all scores and notes, for each pass, which rows wanted a map."""

    def __init__(self, inner: Detector) -> None:
        self.inner = inner
        self.off = 0.0
        self.passes: list[list[bool]] = []

    def judge(self, rows: Sequence[Row]) -> list[Judgement]:
        self.passes.append([row.wants_map for row in rows])
        return [one._replace(score=one.score + self.off) for one in self.inner.judge(rows)]


@pytest.fixture
def detector(torch_detector: Detector) -> CountingDetector:
    return CountingDetector(torch_detector)


@pytest.fixture
def checks(tmp_path: Path) -> GoldenChecks:
    return GoldenChecks(tmp_path)


def all_of(artifact: Artifact) -> list[bool]:
    return [True] + [False] * (len(artifact.manifest.golden) - 1)


def files(folder: Path) -> list[Path]:
    return list((folder / FOLDER).glob("*.json"))


def change_record(folder: Path, artifact: Artifact, change: Change) -> None:
    """A whole and undamaged record that says something else."""
    records = KeptRecords(folder / FOLDER, PassedCheck)
    key = f"artifact {artifact.sha256}; here"
    passed = records.find(key)
    assert passed is not None
    records.keep(key, passed.model_copy(update={"scores": tuple(change(passed.scores))}))


def test_all_pictures_are_judged_once_and_then_the_first_with_its_map(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks
) -> None:
    assert len(all_of(bolt)) > 2
    assert checks.check(bolt, detector, "here") == f"all {len(all_of(bolt))}"
    assert checks.check(bolt, detector, "here").startswith(f"1 of {len(all_of(bolt))}, as all passed at 20")
    assert detector.passes == [all_of(bolt), [True]]


def test_other_conditions_or_another_artifact_have_all_judged(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks
) -> None:
    checks.check(bolt, detector, "here")
    checks.check(bolt, detector, "there")
    checks.check(dataclasses.replace(bolt, sha256="0" * 64), detector, "here")
    assert detector.passes == [all_of(bolt)] * 3


def test_a_check_that_fails_leaves_no_record(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks, tmp_path: Path
) -> None:
    detector.off = 2 * golden_tolerance(bolt.calibration)
    with pytest.raises(ArtifactError, match="when it was made"):
        checks.check(bolt, detector, "here")
    assert files(tmp_path) == []


def test_where_the_one_picture_fails_all_are_judged_and_the_record_goes(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks, tmp_path: Path
) -> None:
    checks.check(bolt, detector, "here")
    assert len(files(tmp_path)) == 1
    detector.off = 2 * golden_tolerance(bolt.calibration)
    with pytest.raises(ArtifactError, match="when it was made"):
        checks.check(bolt, detector, "here")
    assert detector.passes == [all_of(bolt), [True], all_of(bolt)]
    assert files(tmp_path) == []


def test_a_score_that_has_moved_within_the_tolerance_has_all_judged(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks
) -> None:
    checks.check(bolt, detector, "here")
    detector.off = 0.5 * golden_tolerance(bolt.calibration)
    assert checks.check(bolt, detector, "here") == f"all {len(all_of(bolt))}"
    assert detector.passes == [all_of(bolt), [True], all_of(bolt)]


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: scores[:1],
        lambda scores: (*scores[:-1], float("nan")),
        lambda scores: (scores[0], scores[1] + 1e6, *scores[2:]),
    ],
    ids=["too few", "no number", "another score"],
)
def test_a_record_whose_scores_do_not_pass_is_none(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks, tmp_path: Path, change: Change
) -> None:
    checks.check(bolt, detector, "here")
    change_record(tmp_path, bolt, change)
    assert checks.check(bolt, detector, "here") == f"all {len(all_of(bolt))}"
    assert detector.passes == [all_of(bolt)] * 2


def test_a_damaged_record_is_none(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks, tmp_path: Path
) -> None:
    checks.check(bolt, detector, "here")
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    checks.check(bolt, detector, "here")
    assert detector.passes == [all_of(bolt)] * 2


def test_a_cache_folder_that_has_become_read_only_has_all_judged_each_time(
    bolt: Artifact, detector: CountingDetector, checks: GoldenChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks.check(bolt, detector, "here")

    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(Path, "unlink", refuses)
    monkeypatch.setattr("models.kept_records.write_text", refuses)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    for _ in range(2):
        assert checks.check(bolt, detector, "here") == f"all {len(all_of(bolt))}"


def test_everything_that_a_score_follows_from_is_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    def now(source: SourceKey = SOURCE, backend: str = "ncnn", threads: int = 2, *, half: bool = False) -> str:
        return score_conditions(source, backend, CPU, threads, half=half)

    found = [
        now(),
        now(backend="torch"),
        now(threads=3),
        now(half=True),
        now(SOURCE._replace(source="another")),
        now(SOURCE._replace(sha256="1" * 64)),
        now(SOURCE._replace(normalisation="unit")),
        now(SOURCE._replace(precision="int8")),
    ]
    others: dict[str, Callable[..., str]] = {
        "processor_name": lambda: "another processor",
        "versions": lambda packages: "others",
        "waiting": lambda: "otherwise",
    }
    for name, other in others.items():
        with monkeypatch.context() as patch:
            patch.setattr(conditions, name, other)
            found.append(now())
    assert now() == found[0]
    assert len(set(found)) == len(found)
    for package in ("torch", "numpy", "ncnn", "onnxruntime", "mkdserve", "opencv-python-headless"):
        assert package in conditions.OF_A_SCORE
