"""Images, bodies and content types with bytes changed, cut out or doubled: judged or refused, and never a fault.

E2E_MUTANTS says how many mutants are sent (the default is for every day).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random

from benchmarks.harness.connection import BOUNDARY, Answer, post, post_images
from benchmarks.harness.load import closed_loop
from benchmarks.harness.service_process import ServiceProcess

MUTANTS = int(os.environ.get("E2E_MUTANTS", "1000"))
IMAGES_IN_A_REQUEST = 10
ANSWERS = {200, 400, 413, 415, 422}
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


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


def test_mutated_images_are_judged_or_refused_in_their_entries(
    service: ServiceProcess, good_images: list[bytes]
) -> None:
    chance = random.Random(1)
    requests = []
    for number in range(MUTANTS // 2 // IMAGES_IN_A_REQUEST):
        images = [mutated(chance.choice(good_images), chance) for _ in range(IMAGES_IN_A_REQUEST)]
        path = "/localize?product=bolt&overlay=true&mask=true" if number % 4 == 0 else "/score?product=bolt"
        requests.append(post_images(path, images))
    answers = send(service, requests)
    assert {answer.status for answer in answers} == {200}
    for answer in answers:
        entries = json.loads(answer.body)["results"]
        assert len(entries) == IMAGES_IN_A_REQUEST
        for entry in entries:
            assert ("decision" in entry) != ("error" in entry)
            assert entry.get("error", {"code": "image_"})["code"].startswith("image_"), entry


def test_mutated_bodies_are_answered_or_refused(service: ServiceProcess, good_images: list[bytes]) -> None:
    chance = random.Random(2)
    form = post_images("/score", good_images[:2]).split(b"\r\n\r\n", 1)[1]
    text = json.dumps({"images": [{"data": base64.b64encode(good_images[0]).decode(), "name": "a.png"}]}).encode()
    requests = []
    for number in range(MUTANTS - MUTANTS // 2):
        whole, kind = ((form, MULTIPART), (text, "application/json"))[number % 2]
        if number % 7 == 0:
            kind = mutated(kind.encode(), chance).decode("latin-1").translate(dict.fromkeys(range(32)))
            requests.append(post("/score?product=bolt", whole, kind.encode("ascii", "ignore").decode()))
        else:
            requests.append(post("/score?product=bolt", mutated(whole, chance), kind))
    answers = send(service, requests)
    assert {answer.status for answer in answers} <= ANSWERS, {answer.status for answer in answers}
    for answer in answers:
        assert answer.status == 200 or json.loads(answer.body)["code"], answer.body


def send(service: ServiceProcess, requests: list[bytes]) -> list[Answer]:
    """Every request once; each must be answered, and the service must have survived."""
    answers: list[Answer] = []
    tally = asyncio.run(
        closed_loop(
            service.port, requests, clients=4, count=len(requests), keep=lambda _, answer: answers.append(answer)
        )
    )
    assert tally.unanswered == []
    assert len(answers) == len(requests)
    assert service.is_ready()
    return answers
