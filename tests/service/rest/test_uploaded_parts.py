"""The files of a training lie as the trainer reads them, whatever folders and names they came with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from service.rest.bodies.uploaded_parts import UploadedFile, lay_out


def uploaded(root: Path, names: Iterable[str]) -> list[UploadedFile]:
    """Files as they were kept one by one."""
    files = []
    for number, name in enumerate(names):
        folder, _, own = name.rpartition("/")
        path = root / f"{number:05}.png"
        path.write_text(name, encoding="utf-8")
        files.append(UploadedFile(path, folder or None, own))
    return files


def lying(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.png"))}


def test_folders_of_the_same_names_are_parts_and_no_file_replaces_another(tmp_path: Path) -> None:
    names = ["a/left", "a/right", "b/left", "b/right", "b/left", "b/no light", "c/left", "c/right"]
    assert lay_out(tmp_path, uploaded(tmp_path, names)) == 3
    assert lying(tmp_path) == {
        "part-00000/left.png": "a/left",
        "part-00000/right.png": "a/right",
        "part-00001/file-3.png": "b/no light",
        "part-00001/left-2.png": "b/left",
        "part-00001/left.png": "b/left",
        "part-00001/right.png": "b/right",
        "part-00002/left.png": "c/left",
        "part-00002/right.png": "c/right",
    }


def test_pictures_in_folders_or_without_stay_as_they_are(tmp_path: Path) -> None:
    sets = {
        "by lot": [f"{lot}/{lot}-{number}" for lot in ("monday", "friday") for number in range(3)],
        "one folder": ["good/1", "good/2"],
        "no folder": ["1", "2", "a/left", "a/right", "b/left", "b/right"],
        "no names of lights": [f"{part}/{name}" for part in "ab" for name in ("links oben", "rechts")],
    }
    for name, files in sets.items():
        (root := tmp_path / name).mkdir()
        assert lay_out(root, uploaded(root, files)) == len(files)
        assert list(lying(root)) == [f"{number:05}.png" for number in range(len(files))]
