"""The JSON form is read piece by piece, exactly as a whole, and stops at the first thing that is wrong."""

from __future__ import annotations

import base64
import json
import random

import pytest

from service.errors import MalformedRequest, TooManyImages
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.json_images import JsonImages
from service.rest.bodies.reader import BodyLimits

LIMITS = BodyLimits(max_bytes=1 << 30, max_images=8, max_image_bytes=1 << 20, whole_s=60, pause_s=10)


def read(body: bytes, cuts: list[int] | None = None) -> list[EncodedImage]:
    """The images of a body that comes in pieces cut at these places."""
    form, at = JsonImages(LIMITS), 0
    for cut in [*(cuts or []), len(body)]:
        form.write(body[at:cut])
        at = cut
    return form.finish()


def test_a_body_reads_the_same_however_it_is_cut_written_and_escaped() -> None:
    chance = random.Random(13)
    for _ in range(400):
        images = [chance.randbytes(chance.randint(0, 200)) for _ in range(chance.randint(0, 8))]
        names = [chance.choice([None, "a.png", 'ü"x', "😀.png"]) for _ in images]
        rows = [
            {"data": base64.b64encode(data).decode(), "name": name} for data, name in zip(images, names, strict=True)
        ]
        text = json.dumps({"images": rows}, indent=chance.choice([None, 1]), ensure_ascii=chance.random() < 0.5)
        text = chance.choice([text, text.replace("/", "\\/"), text.replace("+", "\\u002B")])
        body = text.encode()
        found = read(body, sorted(chance.randrange(len(body) + 1) for _ in range(chance.randint(0, 30))))
        assert [image.data for image in found] == images
        assert [image.name for image in found] == names
        assert all(image.error is None for image in found)


@pytest.mark.parametrize("data", ["QQ", "QQ==QQ==", "Q Q=", "QQ=\\n", "Q\\\\", "====", "Q=Q=", "\\u00e4AAA", "QQ==="])
def test_what_is_no_base64_is_that_images_own_error(data: str) -> None:
    body = b'{"images": [{"data": "%s"}, {"data": "QQ=="}]}' % data.encode()
    for cuts in ([], list(range(1, len(body)))):
        bad, good = read(body, cuts)
        assert bad.error is not None
        assert bad.error.code == "image_base64_invalid"
        assert bad.data == b""
        assert good.data == b"A"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ends before"),
        (b"[]", "{ expected"),
        (b'{"pictures": []}', "'pictures' is not known"),
        (b'{"images": {}}', "[ expected"),
        (b'{"images": [{}]}', "images.0: a key expected"),
        (b'{"images": [[]]}', "expected"),
        (b'{"images": [{"name": "a"}]}', "`data` is missing"),
        (b'{"images": [{"data": 1}]}', "images.0.data: a string expected"),
        (b'{"images": [{"data": "", "data": ""}]}', "'data' is there twice"),
        (b'{"images": [{"data": "", "size": 1}]}', "'size' is not known"),
        (b'{"images": [{"data": "", "name": nil}]}', "a string or null expected"),
        (b'{"images": [{"data": "", "name": "%s"}]}' % (b"a" * 1025), "1024 characters"),
        (b'{"images": [{"data": "\\q"}]}', "cannot be read"),
        (b'{"images": [{"data": ""}]} x', "nothing more expected"),
        (b'{"images": [{"data": ""}', "ends before"),
        (b'{"images": [{"data": "QQ', "ends before"),
        (b'{"' + b"a" * 5000, "at most 64 bytes"),
        (b"\xff\xfe{", "{ expected"),
    ],
)
def test_the_first_thing_that_is_wrong_is_named(body: bytes, said: str) -> None:
    for cuts in ([], list(range(1, min(len(body), 3000)))):
        with pytest.raises(MalformedRequest) as refused:
            read(body, cuts)
        assert said in refused.value.detail
        assert "send {" in refused.value.detail


def test_nothing_after_the_first_fault_is_looked_at() -> None:
    """8 MB of empty objects once took 2.7 GB: every fault of every entry was collected first."""
    form = JsonImages(LIMITS)
    with pytest.raises(MalformedRequest):
        form.write(b'{"images": [{},')


def test_the_entry_that_is_one_too_many_ends_the_reading() -> None:
    form = JsonImages(LIMITS)
    form.write(b'{"images": [' + b",".join([b'{"data": ""}'] * 8))
    with pytest.raises(TooManyImages):
        form.write(b",{")


def test_of_an_image_over_the_limit_one_byte_more_is_kept() -> None:
    limits = BodyLimits(max_bytes=1 << 30, max_images=8, max_image_bytes=10, whole_s=60, pause_s=10)
    form = JsonImages(limits)
    form.write(json.dumps({"images": [{"data": base64.b64encode(b"x" * 5000).decode()}]}).encode())
    assert form.finish()[0].data == b"x" * 11
