"""Which files of a folder are trained on, what is left out and said, and how the rest is split."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.imaging.preprocess import Preprocessing
from trainer import training_set
from trainer.data import DataError, image_files, split
from trainer.training_set import read_training_set

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def write(folder: Path, count: int, size: tuple[int, int] = (20, 16), suffix: str = ".png") -> list[Path]:
    """`count` different pictures of that width and height, named by size and number."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    files = []
    for number in range(count):
        pixels = np.random.default_rng((number, width)).integers(0, 256, (height, width, 3), dtype=np.uint8)
        files.append(save(folder / f"{width}-{number:03}{suffix}", pixels))
    return files


def save(file: Path, pixels: Pixels) -> Path:
    assert cv2.imwrite(str(file), pixels)
    return file


def test_a_plain_folder_of_good_images_is_taken_in_order(tmp_path: Path) -> None:
    files = write(tmp_path, 9)
    found = read_training_set(tmp_path)
    assert list(found.files) == files
    assert (found.unreadable, found.duplicates) == ((), ())
    assert found.sizes == ((20, 16),)
    assert found.size_warning is None


def test_the_mvtec_layout_is_found_and_nothing_else_of_it_is_looked_at(tmp_path: Path) -> None:
    good = write(tmp_path / "train" / "good", 8)
    write(tmp_path / "test" / "scratch", 3)
    write(tmp_path, 2)
    assert list(read_training_set(tmp_path).files) == good


def test_every_allowed_suffix_in_any_case_counts_and_other_files_do_not(tmp_path: Path) -> None:
    for number, suffix in enumerate([".png", ".PNG", ".jpg", ".JPEG", ".bmp", ".tif", ".tiff", ".webp"]):
        write(tmp_path, 1, size=(20 + number, 16), suffix=suffix)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert len(image_files(tmp_path)) == 8
    assert len(read_training_set(tmp_path).files) == 8


def test_something_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (file,) = write(tmp_path, 1)
    for path in (tmp_path / "nowhere", file):
        with pytest.raises(DataError, match="is not a folder"):
            read_training_set(path)


def test_a_folder_with_no_image_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"no image in .*\.png.*train/good"):
        read_training_set(tmp_path)


def test_seven_images_are_too_few_and_eight_are_enough(tmp_path: Path) -> None:
    write(tmp_path, 7)
    with pytest.raises(DataError, match=r"7 usable images .* at least 8"):
        read_training_set(tmp_path)
    write(tmp_path, 1, size=(22, 16))
    assert len(read_training_set(tmp_path).files) == 8


def test_unreadable_files_among_good_ones_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path, 8)
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = (tmp_path / "20-000.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    found = read_training_set(tmp_path)
    assert len(found.files) == 8
    reasons = {file.name: reason for file, reason in found.unreadable}
    assert reasons.keys() == {"broken.png", "empty.jpg", "cut.png"}
    assert "no bytes" in reasons["empty.jpg"]


def test_too_few_because_of_unreadable_ones_says_so(tmp_path: Path) -> None:
    files = write(tmp_path, 8)
    files[0].write_bytes(b"no image")
    files[1].write_bytes(files[2].read_bytes())
    with pytest.raises(DataError, match=r"6 usable images in .* \(1 unreadable, 1 duplicates\)"):
        read_training_set(tmp_path)


def test_exact_copies_are_left_out(tmp_path: Path) -> None:
    files = write(tmp_path, 8)
    (tmp_path / "copy.png").write_bytes(files[3].read_bytes())
    found = read_training_set(tmp_path)
    assert found.duplicates == (tmp_path / "copy.png",)  # after "20-003.png" by name
    assert found.files == tuple(files)


def test_wildly_different_shapes_are_warned_of(tmp_path: Path) -> None:
    write(tmp_path, 8, size=(20, 16))
    write(tmp_path, 1, size=(64, 16))
    warning = read_training_set(tmp_path).size_warning
    assert warning is not None
    assert "2 sizes, with aspect ratios from 1.25 to 4.00" in warning


def test_the_same_shape_in_two_sizes_is_no_reason_to_warn(tmp_path: Path) -> None:
    write(tmp_path, 8, size=(20, 16))
    write(tmp_path, 1, size=(40, 32))
    assert read_training_set(tmp_path).size_warning is None


def test_the_hash_heeds_every_image(tmp_path: Path) -> None:
    files = write(tmp_path, 8)
    before = read_training_set(tmp_path).sha256
    assert before == hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()
    pixels = cv2.imread(str(files[5]))
    assert pixels is not None
    pixels[0, 0, 0] ^= 1
    save(files[5], pixels.astype(np.uint8))
    assert read_training_set(tmp_path).sha256 != before


@pytest.mark.parametrize(
    ("brightest", "white"),
    [(1000, 1023), (1023, 1023), (1024, 4095), (4095, 4095), (9000, 16383), (16384, 65535), (65535, 65535)],
)
def test_the_white_level_is_the_smallest_that_holds_the_images(tmp_path: Path, brightest: int, white: int) -> None:
    for number in range(8):
        pixels = np.full((16, 20, 3), number, np.uint16)
        pixels[number, 0] = brightest if number == 6 else 100
        save(tmp_path / f"{number}.png", pixels)
    assert read_training_set(tmp_path).sixteen_bit_white == white


def test_eight_bit_images_leave_the_white_level_open(tmp_path: Path) -> None:
    write(tmp_path, 8)
    assert read_training_set(tmp_path).sixteen_bit_white == 65535


def test_a_side_below_the_networks_input_is_warned_of_with_an_example(tmp_path: Path) -> None:
    write(tmp_path, 8, size=(300, 40))
    found = read_training_set(tmp_path)
    assert list(found.warnings(Preprocessing(image_size=32))) == []
    (words,) = found.warnings(Preprocessing(image_size=64))
    assert "a side below the network's input of 64 (one has 300 x 40)" in words
    assert "smaller --image-size" in words


def test_a_white_level_below_the_brightest_values_is_warned_of(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path / f"{number}.png", np.full((40, 40, 3), 3000 + number, np.uint16))
    found = read_training_set(tmp_path)
    assert list(found.warnings(Preprocessing(image_size=32, sixteen_bit_white=4095))) == []
    (words,) = found.warnings(Preprocessing(image_size=32, sixteen_bit_white=1023))
    assert words == "the white level 1023 cuts off the brightest values of these pictures"


def test_pictures_above_the_services_own_limit_are_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 8, size=(40, 32))
    monkeypatch.setattr(training_set, "SERVED", 40 * 32)
    assert list(read_training_set(tmp_path).warnings(Preprocessing(image_size=32))) == []
    monkeypatch.setattr(training_set, "SERVED", 40 * 32 - 1)
    (words,) = read_training_set(tmp_path).warnings(Preprocessing(image_size=32))
    assert "8 pictures have more than 1,279 pixels (40-000.png, ...)" in words
    assert "--max-image-pixels" in words


@pytest.mark.parametrize("count", [8, 9, 57, 1000])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_no_image_is_on_both_sides_of_the_split_and_none_is_lost(count: int, share: float) -> None:
    training, held_out = split(count, share, seed=0)
    assert sorted(training + held_out) == list(range(count))
    assert len(held_out) == max(2, round(share * count))


def test_the_split_follows_the_seed() -> None:
    assert split(50, 0.2, 1) == split(50, 0.2, 1)
    assert split(50, 0.2, 1) != split(50, 0.2, 2)
