"""Turns what a caller sent of one part into all channels of its groups: a stack of files, or one file with all of them.

    a tar of files       each file is the light that it is named by
    a TIFF of pages      each page is a group, in the product's order
    any other file       its channels are those of the groups, one after the other

Every file goes through the one decoder and its table of layouts. Pixels are counted once for each group, before
anything is decoded: a part may not be larger than a picture may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.imaging.channels import ChannelGroup, channel_count, group_words, place_of
from models.imaging.colours import stretched, to_rgb
from models.imaging.decode import DecodedImage, ImageLimits, PixelFormat, decode, read_header, read_samples
from models.imaging.errors import ImageError, nothing_but_image_errors
from models.imaging.layouts import FURTHER, NO_EXTRA, UNSPECIFIED
from models.imaging.orientation import SIDEWAYS, oriented
from models.imaging.samples import Header, Pixels
from models.imaging.signatures import format_of
from models.imaging.stack import StackFile, is_stack, stack_files
from models.imaging.tiff import header as tiff_header
from models.imaging.tiff import read as tiff_read

MOST_PAGES = 16


class _Plane(NamedTuple):
    """The file, or page, of one group: what it is called in errors, its header, and the bytes that it is in."""

    name: str
    header: Header
    data: bytes


def decode_groups(
    data: bytes, groups: Sequence[ChannelGroup], limits: ImageLimits | None = None, least_side: int | None = None
) -> DecodedImage:
    """A part's bytes -> the channels of all groups (H, W, N), as `decode` gives the three of a picture.

    Without groups it is `decode` itself. Raises ImageError, with a code of its own for channels that are missing or too
    many, a light that is there twice or that no group has, and files of several sizes or depths.
    """
    limits = limits or ImageLimits()
    if not groups:
        return decode(data, limits, least_side)
    limits.check_bytes(data)
    if is_stack(data):
        return _together(_named_planes(data, groups, limits), groups, limits)
    pages = _pages(data, limits)
    if len(pages) > 1:
        return _together(_page_planes(data, pages, groups), groups, limits)
    return _from_one_file(data, groups, limits)


def first_picture(data: bytes, limits: ImageLimits | None = None) -> Pixels:
    """RGB (H, W, 3) of a picture, or of the first light of a part whose groups are not known. Raises ImageError."""
    if is_stack(data):
        with nothing_but_image_errors():
            files = stack_files(data)
        if not files:
            raise ImageError("image_channels_missing", "the tar of the part has no file in it")
        return decode(files[0].data, limits).pixels
    pages = _pages(data, limits or ImageLimits())
    if not pages or (len(pages) == 1 and pages[0].facts.extra != FURTHER):
        return decode(data, limits).pixels
    with nothing_but_image_errors():
        samples = tiff_read.read_samples(pages[0], data, every=True)
        shown = 3 if samples.colour == "rgb" else 1
        return to_rgb(replace(samples, values=samples.values[:, :, :shown]))


def _named_planes(data: bytes, groups: Sequence[ChannelGroup], limits: ImageLimits) -> list[_Plane]:
    """The file of each group, in the order of the groups."""
    with nothing_but_image_errors():
        files = stack_files(data)
    found: dict[str, StackFile] = {}
    by_name = {group.name.casefold(): group.name for group in groups}
    for file in files:
        name = by_name.get(file.light.casefold())
        if name is None:
            raise ImageError(
                "image_channel_unknown",
                f"the part has a file {file.name[:64]!r}; the product's lights are {group_words(groups)}",
            )
        if name in found:
            raise ImageError(
                "image_channel_repeated",
                f"the part has the light {name} twice, as {found[name].name[:64]!r} and {file.name[:64]!r}",
            )
        found[name] = file
    missing = [group.name for group in groups if group.name not in found]
    if missing:
        raise ImageError(
            "image_channels_missing",
            f"the part has no file of {', '.join(missing)}; the product takes {group_words(groups)}",
        )
    planes = []
    for group in groups:
        file = found[group.name]
        try:
            planes.append(_Plane(file.name, read_header(file.data, limits), file.data))
        except ImageError as error:
            raise _of_file(file.name, error) from error
    return planes


def _pages(data: bytes, limits: ImageLimits) -> list[tiff_header.TiffHeader]:
    """The pages of a TIFF; none for another format."""
    name = format_of(data)
    limits.check_format(name)
    if name != "TIFF":
        return []
    with nothing_but_image_errors():
        return tiff_header.read_pages(data, limits, MOST_PAGES)


def _page_planes(data: bytes, pages: Sequence[tiff_header.TiffHeader], groups: Sequence[ChannelGroup]) -> list[_Plane]:
    if len(pages) != len(groups):
        raise _wrong_count(f"the file has {len(pages)} pages", len(pages), len(groups), groups)
    return [_Plane(f"page {number + 1}", page, data) for number, page in enumerate(pages)]


def _together(planes: Sequence[_Plane], groups: Sequence[ChannelGroup], limits: ImageLimits) -> DecodedImage:
    """The channels of the groups one behind the other; headers are compared before anything is decoded."""
    first = _Facts.of(planes[0].header)
    for plane in planes[1:]:
        facts = _Facts.of(plane.header)
        if facts != first:
            raise ImageError(
                "image_stack_uneven",
                f"{plane.name[:64]} is {facts} and {planes[0].name[:64]} is {first}; the pictures of a part have one "
                "size and one depth",
            )
    limits.check_groups(first.width, first.height, len(groups))
    kind = np.uint16 if first.deep else np.uint8
    out = np.empty((first.height, first.width, channel_count(groups)), kind)
    for number, (plane, group) in enumerate(zip(planes, groups, strict=True)):
        try:
            samples = read_samples(plane.header, plane.data)
            grey = samples.colour == "grey"
            picture = oriented(to_rgb(samples), plane.header.orientation)
            out[:, :, place_of(groups, number)] = _of_group(picture, group, grey=grey)
        except ImageError as error:
            raise _of_file(plane.name, error) from error
    found: Pixels = out
    return DecodedImage(found, first.width, first.height, _format(planes[0].header))


def _of_group(picture: npt.NDArray[Any], group: ChannelGroup, *, grey: bool) -> npt.NDArray[Any]:
    """(H, W, 3) -> the channels of the group. A colour file whose channels are all equal is as good as a grey one."""
    if group.channels == 3:
        return picture
    if not grey and not (np.array_equal(picture[..., 0], picture[..., 1]) and np.array_equal(*_last_two(picture))):
        raise ImageError(
            "image_channels_unexpected", f"it is a colour picture; the product's light {group.name} is grey"
        )
    return picture[:, :, :1]


def _last_two(picture: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    return picture[..., 1], picture[..., 2]


def _from_one_file(data: bytes, groups: Sequence[ChannelGroup], limits: ImageLimits) -> DecodedImage:
    header = read_header(data, limits, channels=True)
    wanted = channel_count(groups)
    found = _channels_of(header)
    if found != wanted:
        raise _wrong_count(f"the picture has {found} channel{'s' if found > 1 else ''}", found, wanted, groups)
    limits.check_groups(header.width, header.height, len(groups))
    with nothing_but_image_errors():
        if isinstance(header, tiff_header.TiffHeader) and found == header.samples:
            values: Pixels = stretched(tiff_read.read_samples(header, data, every=True))
        else:
            values = to_rgb(read_samples(header, data))
        values = oriented(values, header.orientation)
    height, width = values.shape[:2]
    return DecodedImage(values, width, height, _format(header))


def _channels_of(header: Header) -> int:
    """How many channels a file has, opacity not among them; 3 where its colours are made of something else."""
    facts = header.facts
    plain = facts.colour in ("grey", "black is zero", "white is zero")
    if isinstance(header, tiff_header.TiffHeader) and facts.extra in (NO_EXTRA, UNSPECIFIED, FURTHER):
        return header.samples if plain or facts.colour == "RGB" else 3
    return 1 if plain else 3


def _wrong_count(words: str, found: int, wanted: int, groups: Sequence[ChannelGroup]) -> ImageError:
    code = "image_channels_missing" if found < wanted else "image_channels_unexpected"
    return ImageError(
        code,
        f"{words}; the product takes {wanted}: {group_words(groups)}, in one file or as files with these names",
    )


@dataclass(frozen=True)
class _Facts:
    """In what the files of a part must be equal."""

    width: int
    height: int
    deep: bool

    @classmethod
    def of(cls, header: Header) -> _Facts:
        sides = (header.width, header.height)
        width, height = sides[::-1] if header.orientation in SIDEWAYS else sides
        return cls(width, height, header.facts.bits > 8)

    def __str__(self) -> str:
        return f"{self.width} x {self.height} of {'more than 8' if self.deep else '8'} bits"


def _format(header: Header) -> PixelFormat:
    return PixelFormat(header.facts.format, header.facts.bits, header.significant_bits)


def _of_file(name: str, error: ImageError) -> ImageError:
    return ImageError(error.code, f"{name[:64]}: {error.detail}")
