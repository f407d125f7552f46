"""The MVTec layout: which images are bad, where, and what an empty or missing mask means."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from trainer.data import DataError
from trainer.figures import read_truth
from trainer.labelled import LabelledImage, passed_over_in, read_labelled_set

PICTURE = np.full((16, 20, 3), 120, np.uint8)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    for folder, names in (("good", "ab"), ("scratch", "cd"), ("blot", "e")):
        (tmp_path / "test" / folder).mkdir(parents=True)
        for name in names:
            cv2.imwrite(str(tmp_path / "test" / folder / f"{name}.png"), PICTURE)
    (tmp_path / "ground_truth" / "scratch").mkdir(parents=True)
    mask = np.zeros((16, 20), np.uint8)
    mask[4:8, 10:20] = 255
    cv2.imwrite(str(tmp_path / "ground_truth" / "scratch" / "c_mask.png"), mask)
    cv2.imwrite(str(tmp_path / "ground_truth" / "scratch" / "d_mask.png"), np.zeros((16, 20), np.uint8))
    return tmp_path


def by_name(data: Path) -> dict[str, LabelledImage]:
    return {image.file.stem: image for image in read_labelled_set(data)}


def test_images_come_by_defect_and_name(layout: Path) -> None:
    found = [(image.defect, image.file.stem, image.anomalous) for image in read_labelled_set(layout)]
    assert found == [
        ("blot", "e", True),
        ("good", "a", False),
        ("good", "b", False),
        ("scratch", "c", True),
        ("scratch", "d", True),
    ]


def test_a_good_part_has_an_empty_mask_of_any_size(layout: Path) -> None:
    mask = by_name(layout)["a"].mask(10, 8)
    assert mask is not None
    assert mask.shape == (8, 10)
    assert not mask.any()


def test_a_mask_is_brought_to_the_size_asked(layout: Path) -> None:
    mask = by_name(layout)["c"].mask(10, 8)
    assert mask is not None
    expected = np.zeros((8, 10), bool)
    expected[2:4, 5:10] = True
    assert np.array_equal(mask, expected)


def test_a_missing_or_empty_mask_of_a_bad_part_is_not_known(layout: Path) -> None:
    images = by_name(layout)
    assert images["e"].mask(10, 8) is None
    assert images["d"].mask(10, 8) is None


def test_a_damaged_mask_is_not_known_either(layout: Path) -> None:
    (layout / "ground_truth" / "scratch" / "c_mask.png").write_bytes(b"no image")
    assert by_name(layout)["c"].mask(10, 8) is None


def test_it_is_said_of_how_many_defects_a_mask_was_found_and_what_was_looked_for(layout: Path) -> None:
    truth = read_truth(read_labelled_set(layout), PictureViews(Preprocessing(image_size=32)))
    record = truth.mask_record()
    assert (record["defective"], record["found"], record["inverted"]) == (3, 1, False)
    (words,) = truth.mask_words()
    assert words.startswith(
        "masks: found for 1 of 3 defective images; looked for in ground_truth/<defect> as NAME_mask"
    )


def test_masks_drawn_black_on_white_are_told(layout: Path) -> None:
    folder = layout / "ground_truth" / "scratch"
    drawn = cv2.imread(str(folder / "c_mask.png"), cv2.IMREAD_GRAYSCALE)
    assert drawn is not None
    for name in "cd":
        cv2.imwrite(str(folder / f"{name}_mask.png"), 255 - drawn)
    truth = read_truth(read_labelled_set(layout), PictureViews(Preprocessing(image_size=32)))
    assert truth.mask_record()["inverted"] is True
    assert "they look inverted" in truth.mask_words()[-1]


def test_what_lies_deeper_or_is_no_image_is_told_with_its_place(layout: Path) -> None:
    (layout / "test" / "scratch" / "more").mkdir()
    cv2.imwrite(str(layout / "test" / "scratch" / "more" / "f.png"), PICTURE)
    (layout / "ground_truth" / "scratch" / "c.json").write_text("{}")
    assert passed_over_in(layout) == {
        "subfolder": ("test/scratch/more/f.png",),
        "other_ending": ("ground_truth/scratch/c.json",),
    }


def test_without_the_layout_the_words_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folder test"):
        read_labelled_set(tmp_path)


@pytest.mark.parametrize("folder", ["good", "scratch"])
def test_good_and_bad_images_are_both_needed(tmp_path: Path, folder: str) -> None:
    (tmp_path / "test" / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "test" / folder / "a.png"), PICTURE)
    with pytest.raises(DataError, match="in good and in at least one folder of defects"):
        read_labelled_set(tmp_path)
