"""Finds the pictures of a folder, and what of them is one part: a file, or a folder with a file for each light.

    train/good/000.png                               a picture, or all channels of a part in one TIFF
    train/good/part-000/left.png, .../right.png      a part: its folder, and a file named by its light for each group

A part's folder stands wherever a picture's file does (trainer.data.part_bytes).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from natsort import natsorted

from models.image_folder import Reason, list_images
from models.imaging.channels import ChannelGroup, Groups
from models.imaging.decode import ImageError, read_header
from models.imaging.layouts import FURTHER
from models.imaging.part_names import usual_names
from models.imaging.tiff.header import TiffHeader
from trainer.data import LIMITS, image_files


class PartFiles(NamedTuple):
    """`paths` are the pictures' files or the parts' folders, by name; `groups` those that all of them have."""

    paths: tuple[Path, ...]
    groups: Groups
    passed_over: Mapping[Reason, tuple[str, ...]]


def find_parts(folder: Path, *, subfolders: bool = False, groups: Groups | None = None) -> PartFiles:
    """The pictures of a folder; where it holds none but folders of lights, these.

    `groups` are those that there must be, none for plain pictures; None finds them: by the names that most folders of
    lights have in common, or by the channels of the first file. Folders are no parts where `subfolders` is asked for.
    """
    contents = list_images(folder, subfolders=subfolders)
    files = tuple(folder / name for name in contents.images)
    if files or subfolders or groups == ():
        return PartFiles(files, _groups_of_files(files) if groups is None else groups, contents.passed_over)
    stacks = {
        path: image_files(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.is_symlink() and path.name[0] != "."
    }
    stacks = {path: found for path, found in stacks.items() if found}
    if groups is None:
        groups = _groups_of_stacks(list(stacks.values()))
    if not groups:
        return PartFiles((), (), contents.passed_over)
    passed_over: dict[Reason, tuple[str, ...]] = {
        reason: names for reason, names in contents.passed_over.items() if reason != "subfolder"
    }
    return PartFiles(tuple(stacks), groups, passed_over)


def groups_of_part(path: Path) -> Groups:
    """The groups of channels of one part: the names of its folder's files, or those that its file has."""
    if not path.is_dir():
        return _groups_of_files((path,))
    files = image_files(path)
    return _named(files) if len(files) > 1 else ()


def _groups_of_stacks(stacks: list[list[Path]]) -> Groups:
    """The names that at least half of the folders have, with the channels of the first such folder's files."""
    names = [frozenset(file.stem.casefold() for file in files) for files in stacks]
    usual = usual_names(names)
    return () if usual is None else _named(stacks[names.index(usual)])


def _named(files: list[Path]) -> Groups:
    by_name = {file.stem: file for file in files}
    return tuple(ChannelGroup(name=name, channels=_channels_of(by_name[name])) for name in natsorted(by_name))


def _channels_of(file: Path) -> Literal[1, 3]:
    try:
        colour = read_header(file.read_bytes(), LIMITS).facts.colour
    except (ImageError, OSError):
        return 1
    return 1 if colour in ("grey", "black is zero", "white is zero") else 3


def _groups_of_files(files: tuple[Path, ...]) -> Groups:
    """Those of the first file that can be read, where it has more channels than a picture."""
    for file in files:
        try:
            header = read_header(file.read_bytes(), LIMITS, channels=True)
        except (ImageError, OSError):
            continue
        if not isinstance(header, TiffHeader) or header.facts.extra != FURTHER:
            return ()
        colour = 3 if header.facts.colour == "RGB" else 0
        single = tuple(ChannelGroup(name=f"channel-{number + 1}") for number in range(colour, header.samples))
        return (ChannelGroup(name="rgb", channels=3), *single) if colour else single
    return ()
