"""Every bad image through HTTP: judged by a documented rule or refused in its own entry, its neighbours unharmed."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture


def animation() -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


BAD: dict[str, Callable[[Any], bytes]] = {
    "image_empty": lambda picture: b"",
    "image_unreadable": lambda picture: b"this is no image, it is a sentence",
    "image_truncated": lambda picture: picture(form="JPEG", size=(200, 200))[:-400],
    "image_too_many_pixels": lambda picture: bomb(),
    "image_format_not_allowed": lambda picture: picture(form="GIF", mode="P"),
    "image_multiple_frames": lambda picture: animation(),
    "image_too_small": lambda picture: picture(size=(4, 40)),
}


@pytest.mark.parametrize("code", BAD)
def test_a_bad_image_is_refused_in_its_own_entry_and_harms_no_neighbour(
    house: House, picture: Picture, code: str
) -> None:
    response = house.score(picture(0.1), BAD[code](picture), picture(0.9))
    assert response.status_code == 200
    before, bad, after = response.json()["results"]
    assert bad["error"]["code"] == code
    assert bad["error"]["title"]
    assert bad["error"]["detail"]
    assert bad["filename"] == "1.png"
    assert "decision" not in bad
    assert "score" not in bad
    assert (before["decision"], after["decision"]) == ("OK", "NG")


@pytest.mark.parametrize("code", BAD)
def test_a_request_of_bad_images_only_is_answered_with_their_errors(house: House, picture: Picture, code: str) -> None:
    response = house.score(BAD[code](picture), BAD[code](picture))
    assert response.status_code == 200
    assert [entry["error"]["code"] for entry in response.json()["results"]] == [code, code]
    assert house.engine.judged == []


def test_too_many_bytes_of_one_image_leave_the_others_alone(open_house: OpenHouse, picture: Picture) -> None:
    house = open_house(max_image_bytes=2000)
    large = picture(0.1) + b"\0" * 3000
    response = house.score(large, picture(0.1))
    first, second = response.json()["results"]
    assert first["error"]["code"] == "image_too_many_bytes"
    assert second["decision"] == "OK"


def test_a_raw_body_over_the_image_limit_is_refused_as_a_whole(open_house: OpenHouse) -> None:
    house = open_house(max_image_bytes=2000)
    response = house.post("/score", content=b"\0" * 3000, headers={"Content-Type": "image/png"})
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"


def test_the_pixel_limit_is_a_setting(open_house: OpenHouse, picture: Picture) -> None:
    house = open_house(max_image_pixels=40 * 24 - 1)
    assert house.score(picture(size=(40, 24))).json()["results"][0]["error"]["code"] == "image_too_many_pixels"
    assert house.score(picture(size=(40, 23))).json()["results"][0]["decision"] == "OK"


def test_the_formats_taken_are_a_setting(open_house: OpenHouse, picture: Picture) -> None:
    house = open_house(image_formats="png")
    ok, refused = house.score(picture(form="PNG"), picture(form="BMP")).json()["results"]
    assert ok["decision"] == "OK"
    assert refused["error"]["code"] == "image_format_not_allowed"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_every_allowed_format_is_judged(house: House, picture: Picture, form: str) -> None:
    (entry,) = house.score(picture(0.9, form=form)).json()["results"]
    assert entry["decision"] == "NG"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize(("brightness", "decision"), [(0.1, "OK"), (0.9, "NG")])
def test_grey_alpha_palette_and_sixteen_bits_are_judged_alike(
    house: House, picture: Picture, mode: str, brightness: float, decision: str
) -> None:
    (entry,) = house.score(picture(brightness, mode=mode)).json()["results"]
    assert entry["decision"] == decision
    assert entry["score"] == pytest.approx(brightness, abs=0.01)


def test_exif_orientation_is_applied_before_judging(house: House, picture: Picture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    (entry,) = house.score(picture(form="JPEG", size=(40, 24), exif=exif)).json()["results"]
    assert entry["image"] == {"width": 24, "height": 40}


def test_ten_broken_images_of_sixty_four_leave_fifty_four_verdicts_as_if_alone(house: House, picture: Picture) -> None:
    good = {place: picture(place / 100) for place in range(64)}
    broken = dict(zip(range(3, 64, 6), [make(picture) for make in BAD.values()] * 2, strict=False))
    broken = dict(list(broken.items())[:10])
    response = house.score(*[broken.get(place, good[place]) for place in range(64)])
    results = response.json()["results"]
    assert [entry["index"] for entry in results if "error" in entry] == list(broken)
    alone = {place: house.score(good[place]).json()["results"][0]["score"] for place in range(64)}
    verdicts = [entry for entry in results if "error" not in entry]
    assert len(verdicts) == 54
    assert all(entry["score"] == alone[entry["index"]] for entry in verdicts)
