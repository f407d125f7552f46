"""Bodies and images with bytes changed, cut out or doubled: refused or judged, and never a fault of the service."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, Picture

BOUNDARY = b"frontier"
ALLOWED = {200, 400, 413, 415, 422}
MUTANTS = 60


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to four things done to it."""
    body = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(body) + 1)
        stop = min(len(body), start + chance.choice([1, 4, 16, 200]))
        action = chance.randrange(4)
        if action == 0:
            del body[start:stop]
        elif action == 1:
            body[start:stop] = chance.randbytes(stop - start)
        elif action == 2:
            body[start:start] = body[start:stop]
        else:
            del body[start:]
    return bytes(body)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_a_mutated_image_is_judged_or_refused_in_its_entry(
    house: House, picture: Picture, form: str, mode: str
) -> None:
    if mode == "I;16" and form not in ("PNG", "TIFF"):
        pytest.skip("this format has no 16 bits")
    chance = random.Random(form + mode)
    whole = picture(0.3, form=form, mode=mode, size=(33, 21))
    images = [mutated(whole, chance) for _ in range(MUTANTS)]
    response = house.score(*images)
    assert response.status_code == 200
    results = response.json()["results"]
    assert len(results) == MUTANTS
    for entry in results:
        assert ("decision" in entry) != ("error" in entry)
        if "error" in entry:
            assert entry["error"]["code"].startswith("image_"), entry


def multipart(picture: Picture) -> bytes:
    head = b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    return head + picture() + b"\r\n" + head + picture() + b"\r\n--frontier--\r\n"


def as_json(picture: Picture) -> bytes:
    return b'{"images": [{"data": "iVBORw0KGgo=", "name": "a"}, {"data": "", "name": null}]}'


@pytest.mark.parametrize(
    ("kind", "make"),
    [("multipart/form-data; boundary=frontier", multipart), ("application/json", as_json)],
    ids=["multipart", "json"],
)
def test_a_mutated_body_is_answered_or_refused(
    house: House, picture: Picture, kind: str, make: Callable[[Picture], bytes]
) -> None:
    chance = random.Random(kind)
    whole = make(picture)
    for _ in range(MUTANTS):
        response = house.post("/score", content=mutated(whole, chance), headers={"Content-Type": kind})
        assert response.status_code in ALLOWED, response.text


def test_a_mutated_content_type_is_answered_or_refused(house: House, picture: Picture) -> None:
    chance = random.Random(7)
    for _ in range(MUTANTS):
        kind = mutated(b"multipart/form-data; boundary=frontier", chance).replace(b"\n", b"").replace(b"\r", b"")
        response = house.post("/score", content=multipart(picture), headers={b"content-type": kind})
        assert response.status_code in ALLOWED, response.text
