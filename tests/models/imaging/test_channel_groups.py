"""All channels of a part come out as they were written, in whatever form it came, and each fault has its own error."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging.channels import ChannelGroup, Groups, check_groups, group_of, group_pictures
from models.imaging.errors import ImageError
from models.imaging.grouped_decode import decode_groups, first_picture
from models.imaging.layouts import CHANNEL_LAYOUTS
from models.imaging.limits import ImageLimits
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.imaging.stack import StackFile, as_stack

RANDOM = np.random.default_rng(5)
LIGHTS: Groups = tuple(ChannelGroup(name=name) for name in ("left", "right", "top"))
FIVE: Groups = (ChannelGroup(name="rgb", channels=3), ChannelGroup(name="nir"), ChannelGroup(name="uv"))
Values = npt.NDArray[Any]


def values(channels: int, bits: int = 8, size: tuple[int, int] = (20, 13)) -> Values:
    return RANDOM.integers(0, 2**bits, (*size, channels)).astype(np.uint8 if bits == 8 else np.uint16)


def png(pixels: Values) -> bytes:
    array = pixels[:, :, ::-1] if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
    return cv2.imencode(".png", np.ascontiguousarray(array))[1].tobytes()


def stack(**files: bytes) -> bytes:
    return as_stack(StackFile(f"{name}.png", data) for name, data in files.items())


def lights(part: Values, *names: str) -> bytes:
    return stack(**{name: png(part[:, :, number]) for number, name in enumerate(names)})


def error_of(data: bytes, groups: Groups = LIGHTS, limits: ImageLimits | None = None) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        decode_groups(data, groups, limits)
    return caught.value.code, caught.value.detail


@pytest.mark.parametrize("compression", CHANNEL_LAYOUTS[0].compression)
@pytest.mark.parametrize("apart", [False, True])
def test_a_tiff_gives_its_channels_in_their_order(compression: str, apart: bool) -> None:
    for photometric, groups in ((1, tuple(ChannelGroup(name=f"c{number}") for number in range(5))), (2, FIVE)):
        for bits in CHANNEL_LAYOUTS[0].bits:
            part = values(5, bits)
            layout = TiffLayout(bits=bits, photometric=photometric, apart=apart, compression=compression)
            found = decode_groups(write_tiff(part, layout), groups)
            assert found.pixels.dtype == part.dtype
            assert np.array_equal(found.pixels, part)
            assert (found.width, found.height) == (13, 20)


def test_another_writer_s_channels_are_read_alike_together_apart_and_as_pages() -> None:
    part = values(3, 16)
    planes = np.ascontiguousarray(part.transpose(2, 0, 1))
    for data, more in ((part, {"planarconfig": "contig"}), (planes, {"planarconfig": "separate"}), (planes, {})):
        stream = io.BytesIO()
        tifffile.imwrite(stream, data, photometric="minisblack", **more)  # type: ignore[arg-type]
        assert np.array_equal(decode_groups(stream.getvalue(), LIGHTS).pixels, part)


def test_an_extra_sample_of_which_nothing_is_said_is_a_channel_where_groups_take_it() -> None:
    part = values(4)
    data = write_tiff(part, TiffLayout(photometric=2, extra=(0,)))
    assert np.array_equal(decode_groups(data, FIVE[:2]).pixels, part)
    assert np.array_equal(decode_groups(data, ()).pixels, part[:, :, :3])
    assert error_of(write_tiff(part, TiffLayout(photometric=2, extra=(2,))), FIVE[:2])[0] == "image_channels_missing"


def test_three_channels_of_one_picture_are_three_lights() -> None:
    part = values(3)
    assert np.array_equal(decode_groups(png(part), LIGHTS).pixels, part)


def test_files_are_the_lights_that_they_are_named_by_in_any_order_and_case() -> None:
    part = values(3)
    for order in ((0, 1, 2), (2, 0, 1)):
        names = [("left", "Right", "TOP")[number] for number in order]
        data = lights(part[:, :, list(order)], *names)
        assert np.array_equal(decode_groups(data, LIGHTS).pixels, part)
    assert as_stack([StackFile("a.png", b"1")]) == as_stack([StackFile("a.png", b"1")])


def test_a_tar_that_a_person_made_is_read_with_its_folder_and_without_what_is_hidden() -> None:
    part = values(3)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
            folder = tarfile.TarInfo("part-1")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for name, data in (("._left.png", b"x"), *((g.name + ".png", png(p)) for g, p in _named(part))):
                member = tarfile.TarInfo(f"part-1/{name}")
                member.size, member.mtime = len(data), 1.5
                tar.addfile(member, io.BytesIO(data))
        assert np.array_equal(decode_groups(stream.getvalue(), LIGHTS).pixels, part)


def _named(part: Values) -> list[tuple[ChannelGroup, Values]]:
    return [(group, part[:, :, number]) for number, group in enumerate(LIGHTS)]


def test_colour_and_grey_files_fit_groups_of_three_and_of_one() -> None:
    grey, colour = values(1), values(3)
    both: Groups = (ChannelGroup(name="a", channels=3), ChannelGroup(name="b"))
    equal = np.repeat(grey, 3, axis=2)
    for a, b in ((equal, equal), (grey, grey)):
        found = decode_groups(stack(a=png(a), b=png(b)), both).pixels
        assert np.array_equal(found, np.concatenate([equal, grey], axis=2))
    code, detail = error_of(stack(a=png(colour), b=png(colour)), both)
    assert code == "image_channels_unexpected"
    assert detail == "b.png: it is a colour picture; the product's light b is grey"


PART = values(3)
WIDE = values(1, size=(20, 15))


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (lights(PART, "left", "right"), "image_channels_missing", "no file of top; the product takes left, right, top"),
        (lights(values(4), "left", "right", "top", "back"), "image_channel_unknown", "'back.png'"),
        (
            as_stack([*(StackFile(f"{n}.png", png(PART)) for n in ("left", "top")), StackFile("LEFT.tif", b"x")]),
            "image_channel_repeated",
            "left twice, as 'left.png' and 'LEFT.tif'",
        ),
        (stack(left=png(PART[:, :, 0]), right=png(WIDE), top=png(WIDE)), "image_stack_uneven", "right.png is 15 x 20"),
        (
            stack(left=png(PART[:, :, 0]), right=png(values(1, 16)), top=png(WIDE)),
            "image_stack_uneven",
            "right.png is 13 x 20 of more than 8 bits and left.png is 13 x 20 of 8 bits",
        ),
        (stack(left=b"no picture", right=b"", top=b""), "image_unreadable", "left.png: the bytes are not an image"),
        (png(PART[:, :, 0]), "image_channels_missing", "the picture has 1 channel; the product takes 3"),
        (write_tiff(values(4), TiffLayout()), "image_channels_unexpected", "the picture has 4 channels"),
        (lights(PART, "left", "right", "top")[:700], "image_truncated", "the tar ends inside 'left.png'"),
        (lights(PART, "left", "right", "top")[:-1024], "image_truncated", "in front of its end mark"),
    ],
)
def test_each_fault_of_a_part_has_its_own_error(data: bytes, code: str, words: str) -> None:
    found, detail = error_of(data)
    assert found == code
    assert words in detail


def test_pages_must_be_as_many_as_the_groups() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values(2).transpose(2, 0, 1), photometric="minisblack")
    code, detail = error_of(stream.getvalue())
    assert (code, detail[:23]) == ("image_channels_missing", "the file has 2 pages; t")


def test_a_product_without_groups_says_what_it_takes() -> None:
    for data in (lights(PART, "left", "right", "top"), write_tiff(values(5), TiffLayout())):
        code, detail = error_of(data, ())
        assert code == "image_channels_unexpected"
        assert "taken is a picture of 1 channel (grey) or 3 (RGB)" in detail


def test_pixels_of_all_groups_count_before_anything_is_decoded() -> None:
    limits = ImageLimits(max_pixels=3 * 13 * 20 - 1)
    for data in (lights(PART, "left", "right", "top"), write_tiff(PART, TiffLayout())):
        code, detail = error_of(data, LIGHTS, limits)
        assert code == "image_too_many_pixels"
        assert "3 groups of 13 x 20 are 780 pixels; at most 779 are taken" in detail
    assert error_of(lights(PART, "left", "right", "top"), LIGHTS, ImageLimits(max_bytes=1000))[0] == (
        "image_too_many_bytes"
    )


def test_a_part_is_turned_as_a_viewer_shows_it() -> None:
    part = values(5)
    groups = tuple(ChannelGroup(name=f"c{number}") for number in range(5))
    turned = decode_groups(write_tiff(part, TiffLayout(orientation=6)), groups).pixels
    assert np.array_equal(turned, np.rot90(part, -1))


def test_the_first_light_stands_for_a_part_whose_groups_nobody_knows() -> None:
    grey = np.repeat(PART[:, :, :1], 3, axis=2)
    for data in (lights(PART, "left", "right", "top"), write_tiff(PART, TiffLayout())):
        assert np.array_equal(first_picture(data), grey)
    five = values(5)
    assert np.array_equal(first_picture(write_tiff(five, TiffLayout(photometric=2))), five[:, :, :3])


@pytest.mark.parametrize("text", ["a:2", "a b", "", ":3", "a:x", "-a", "a" * 33])
def test_a_group_is_named_by_letters_and_has_one_channel_or_three(text: str) -> None:
    with pytest.raises(ValueError, match="is no group of channels"):
        group_of(text)
    assert group_of("rgb:3") == ChannelGroup(name="rgb", channels=3)
    assert str(group_of("nir")) == "nir"


def test_groups_of_a_product_have_names_of_their_own_and_few_channels() -> None:
    for texts, words in (
        (("a", "A"), "two groups"),
        (("a",), "one group"),
        (tuple(f"g{number}:3" for number in range(6)), "18 channels"),
    ):
        with pytest.raises(ValueError, match=words):
            check_groups([group_of(text) for text in texts])


def test_each_group_is_views_of_its_own_one_group_after_the_other() -> None:
    views = PictureViews(Preprocessing(image_size=32, version=2, groups=LIGHTS))
    part = values(3, size=(32, 32))
    found = views.prepare(part).views
    assert (views.count, views.groups, views.per_group) == (3, 3, 1)
    plain = PictureViews(Preprocessing(image_size=32, version=2))
    for view, picture in zip(found, group_pictures(part, LIGHTS), strict=True):
        assert np.array_equal(view, plain.prepare(picture).views[0])
