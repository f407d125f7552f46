"""The command that shows painted defects on one picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.painted.__main__ import main
from trainer.painted.paint import ALL_KINDS
from trainer.painted.sheet import CAPTION


def write(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 255, (40, 60, 3), dtype=np.uint8))
    return folder


def test_the_sheet_has_a_row_for_each_picture_and_a_column_for_each_kind(tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    main([str(write(tmp_path / "good", 3)), "--out", str(out), "--pictures", "2", "--cell", "48"])
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (2 * (2 * 48 + CAPTION), 48 * len(ALL_KINDS), 3)
    assert sheet.std() > 20


def test_a_folder_without_pictures_ends_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"python -m trainer\.painted: no image in"):
        main([str(write(tmp_path / "good", 0)), "--out", str(tmp_path / "sheet.png")])


@pytest.mark.parametrize("wrong", [["--out", "sheet.jpg"], ["--out", "a.png", "--pictures", "0"]])
def test_arguments_that_make_no_sheet_are_refused(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), *wrong])
