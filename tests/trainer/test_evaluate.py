"""An artifact and a small labelled set in, metrics.json and a report that a person can open out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from models.artifact import ArtifactError, load_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Row
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing, prepare
from trainer.data import DataError, read_pixels
from trainer.evaluate import Machine, evaluate, training_brightness
from trainer.fit_run import Display
from trainer.metrics import auroc
from trainer.report.bottom_line import missed_share

CPU = torch.device("cpu")
PAINTED = 24


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation left: its numbers, its page and its set."""

    numbers: dict[str, Any]
    page: str
    report: Path
    data: Path


def save(file: Path, picture: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), picture)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, good_images: list[bytes], bad_image: bytes) -> Path:
    """3 good parts, 2 blots with masks, scratches with an empty and a missing mask, and broken files."""
    data = tmp_path_factory.mktemp("labelled")
    pictures = [cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) for png in [*good_images, bad_image]]
    known = [picture.astype(np.uint8) for picture in pictures if picture is not None]
    for number in range(3):
        save(data / "test" / "good" / f"g{number}.png", known[number])
        save(data / "train" / "good" / f"t{number}.png", known[number + 3])
    for number, centre in enumerate([(26, 14), (10, 30)]):
        picture, mask = known[6].copy(), np.zeros((40, 40), np.uint8)
        cv2.circle(picture, centre, 6, (0, 0, 10), -1)
        cv2.circle(mask, centre, 6, 255, -1)
        save(data / "test" / "blot" / f"b{number}.png", picture)
        save(data / "ground_truth" / "blot" / f"b{number}_mask.png", mask)
    for name in ("empty", "missing"):
        scratched = known[3].copy()
        cv2.line(scratched, (3, 5 if name == "empty" else 30), (36, 20), (255, 255, 255), 2)
        save(data / "test" / "scratch" / f"{name}.png", scratched)
    save(data / "ground_truth" / "scratch" / "empty_mask.png", np.zeros((40, 40), np.uint8))
    (data / "test" / "good" / "broken.png").write_bytes(b"no image")
    (data / "test" / "blot" / "notes.txt").write_text("from the night shift")
    (data / "train" / "good" / "broken.png").write_bytes(b"no image")
    return data


def run(artifact: Path, data: Path, out: Path, display: Display) -> Evaluation:
    report = evaluate(artifact, data, out, Machine(CPU, "torch", 1, None), display, PAINTED)
    return Evaluation(json.loads((out / "metrics.json").read_text()), report.read_text(), report, data)


@pytest.fixture(scope="module")
def evaluation(
    artifacts_folder: Path, labelled: Path, tmp_path_factory: pytest.TempPathFactory, module_display: Display
) -> Evaluation:
    return run(artifacts_folder / "bolt", labelled, tmp_path_factory.mktemp("report"), module_display)


def test_the_images_are_counted_and_broken_ones_named(evaluation: Evaluation) -> None:
    numbers = evaluation.numbers
    assert (numbers["images"], numbers["images_anomalous"]) == (7, 4)
    assert [line.split(":")[0] for line in numbers["unreadable"]] == ["good/broken.png"]
    assert numbers["masks_unknown"] == 2
    assert numbers["passed_over"] == {"other_ending": {"count": 1, "first": ["test/blot/notes.txt"]}}


def test_the_page_names_the_source_and_warns_of_no_degenerate_set(evaluation: Evaluation) -> None:
    assert "; source vgg16 (" in evaluation.page
    assert "Degenerate training set" not in evaluation.page


def test_image_auroc_is_of_the_scores_that_the_detector_gives(
    evaluation: Evaluation, artifacts_folder: Path, source_weights: Mapping[str, torch.Tensor]
) -> None:
    artifact = load_artifact(artifacts_folder / "bolt")
    pool = SourcePool(CPU, backend="torch", threads=1)
    pool.require(artifact.source)
    files = [file for file in sorted((evaluation.data / "test").rglob("*.png")) if file.stem != "broken"]
    rows = [Row(prepare(read_pixels(file), artifact.preprocessing), artifact.head, artifact.source) for file in files]
    scores = np.array([one.score for one in Detector(CPU, pool).judge(rows)], np.float32)
    anomalous = np.array([file.parent.name != "good" for file in files])
    assert evaluation.numbers["image_auroc"] == pytest.approx(auroc(anomalous, scores))
    decisions = artifact.calibration.thresholds()
    good = [decisions.decide(float(score)) for score in scores[~anomalous]]
    told = evaluation.numbers["decisions_on_good"]
    assert {word: told[word] for word in ("OK", "REVIEW", "NG")} == {w: good.count(w) for w in ("OK", "REVIEW", "NG")}


def test_every_image_is_listed_with_its_score(evaluation: Evaluation) -> None:
    listed = json.loads((evaluation.report.parent / "images.json").read_text())
    assert len(listed) == evaluation.numbers["images"]
    assert {one["defect"] for one in listed} == {"good", "blot", "scratch"}
    promised = evaluation.numbers["realised"]
    good = [one["score"] for one in listed if one["defect"] == "good"]
    assert [one["count"] for one in promised] == [sum(s > one["threshold"] for s in good) for one in promised]
    peaks = [one["map_peak"] for one in listed if one["defect"] == "good"]
    lit = evaluation.numbers["realised_map"]
    assert [one["count"] for one in lit] == [sum(p > one["threshold"] for p in peaks) for one in lit]


def test_each_rate_says_what_it_rejects_and_what_not(evaluation: Evaluation) -> None:
    rates = evaluation.numbers["at_rates"]
    assert [one["rate_asked"] for one in rates] == [0.01, 0.02, 0.05, 0.1]
    listed = json.loads((evaluation.report.parent / "images.json").read_text())
    for one in rates:
        passed = [image for image in listed if image["defect"] != "good" and image["score"] <= one["threshold"]]
        assert one["not_rejected"]["count"] == len(passed) == sum(one["not_rejected_by_defect"].values())


def test_pixel_figures_come_from_known_masks_only(evaluation: Evaluation) -> None:
    defects = evaluation.numbers["defects"]
    assert defects.keys() == {"blot", "scratch"}
    assert 0 <= defects["blot"]["pixel_auroc"] <= 1
    assert 0 <= defects["blot"]["pro"] <= 1
    assert (defects["scratch"]["pixel_auroc"], defects["scratch"]["pro"]) == (None, None)
    assert evaluation.numbers["pixel_auroc"] == pytest.approx(defects["blot"]["pixel_auroc"])


def test_shares_come_with_their_interval(evaluation: Evaluation) -> None:
    for share in (evaluation.numbers["good_parts_lit"], evaluation.numbers["decisions_on_good"]["ng_share"]):
        assert share["total"] == 3
        assert 0 <= share["low_95"] <= share["share"] == share["count"] / 3 <= share["high_95"] <= 1


def test_the_brightness_control_is_measured_against_readable_training_images(evaluation: Evaluation) -> None:
    control = evaluation.numbers["brightness_control"]
    files = [file for file in sorted((evaluation.data / "test").rglob("*.png")) if file.stem != "broken"]
    light = np.array([read_pixels(file).mean() / 255 for file in files], np.float32)
    trained = np.mean([read_pixels(f).mean() / 255 for f in (evaluation.data / "train" / "good").glob("t*.png")])
    anomalous = np.array([file.parent.name != "good" for file in files])
    assert control["as_it_is"] == pytest.approx(auroc(anomalous, light))
    assert control["distance_from_training"] == pytest.approx(auroc(anomalous, np.abs(light - np.float32(trained))))


def test_the_metrics_are_strict_json(evaluation: Evaluation) -> None:
    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    json.loads((evaluation.report.parent / "metrics.json").read_text(), parse_constant=refuse)


def test_the_report_stands_alone_and_shows_every_image(evaluation: Evaluation) -> None:
    page = evaluation.page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "http" not in re.sub(r"data:[^\"]+", "", page)
    for name in ("g0.png", "b1.png", "missing.png", "blot", "scratch"):
        assert name in page
    assert page.count("data:image/png") == 3  # histogram, ROC and PRO
    assert page.count("data:image/jpeg") >= 3 * 7


def test_the_report_says_what_it_could_not_use(evaluation: Evaluation) -> None:
    assert "2 images have no usable mask" in evaluation.page
    assert "1 files could not be read" in evaluation.page
    assert "not known" in evaluation.page
    assert "nan" not in re.sub(r"data:[^\"]+", "", evaluation.page).lower()


def test_names_of_files_cannot_write_into_the_page(
    artifacts_folder: Path, labelled: Path, tmp_path: Path, silent_display: Display
) -> None:
    data = tmp_path / "data"
    for folder in ("good", "<script>alert(1)"):
        (data / "test" / folder).mkdir(parents=True)
        for number in range(2):
            (data / "test" / folder / f"{number}.png").write_bytes(
                (labelled / "test" / "good" / f"g{number}.png").read_bytes()
            )
    found = run(artifacts_folder / "bolt", data, tmp_path / "report", silent_display)
    assert "<script>alert" not in found.page
    assert found.page.count("<script>") == found.page.count("</script>") == 1  # the page's own
    assert found.numbers["brightness_control"]["distance_from_training"] is None
    assert found.numbers["pixel_auroc"] is None


def test_the_evaluation_ends_with_five_lines(evaluation: Evaluation, told: list[str]) -> None:
    assert any(line.startswith("left out: good/broken.png") for line in told)
    good, defective, kinds, limit, step = told[-5:]
    assert good.startswith("Of 1,000 good parts ")
    assert defective.startswith("Of 1,000 defective parts ")
    assert kinds.startswith("Missed by kind: ")
    assert limit.startswith("limits: ")
    assert step.startswith("next: ")
    for line in (good, defective, kinds):
        assert line.replace("'", "&#39;") in evaluation.page


def test_a_part_is_missed_where_it_is_called_ok(evaluation: Evaluation) -> None:
    listed = json.loads((evaluation.report.parent / "images.json").read_text())
    missed = [one for one in listed if one["defect"] != "good" and one["decision"] == "OK"]
    share = missed_share(evaluation.numbers)
    assert share is not None
    assert (share.hits, share.total) == (len(missed), evaluation.numbers["images_anomalous"])


def test_a_damaged_artifact_is_not_evaluated(
    artifacts_folder: Path, labelled: Path, tmp_path: Path, silent_display: Display
) -> None:
    with pytest.raises(ArtifactError):
        run(tmp_path / "nowhere", labelled, tmp_path / "report", silent_display)
    with pytest.raises(DataError):
        run(artifacts_folder / "bolt", tmp_path, tmp_path / "report", silent_display)
    assert not (tmp_path / "report").exists()


def test_the_control_measures_twelve_bit_images_by_the_products_white_level(tmp_path: Path) -> None:
    """As raw shares of 65535 the training images would look nearly black beside the prepared test images."""
    folder = tmp_path / "train" / "good"
    folder.mkdir(parents=True)
    for number in range(2):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.full((40, 40, 3), 2000 + number, np.uint16))
    twelve = Preprocessing(image_size=32, sixteen_bit_white=4095)
    assert training_brightness(tmp_path, PictureViews(twelve)) == pytest.approx(2000.5 / 4095, rel=1e-4)


def test_the_chart_of_painted_defects_counts_each_once(evaluation: Evaluation) -> None:
    record = evaluation.numbers["painted_defects"]
    assert record["pictures"] == 3
    assert sum(cell["not_ok"]["total"] for cell in record["cells"]) == record["painted"] == PAINTED
    assert all(cell["ng"]["count"] <= cell["not_ok"]["count"] for cell in record["cells"])
    assert evaluation.page.count('class="seen"') == len(record["cells"])


def test_no_defects_are_painted_where_none_are_asked(
    labelled: Path, artifacts_folder: Path, tmp_path: Path, module_display: Display
) -> None:
    machine = Machine(CPU, "torch", 1, None)
    report = evaluate(artifacts_folder / "bolt", labelled, tmp_path, machine, module_display, 0)
    assert json.loads((tmp_path / "metrics.json").read_text())["painted_defects"] is None
    assert "Which sizes would be seen" not in report.read_text()
