"""SPADE compares a part with its most similar good pictures, and its bank is bounded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.heads.base import Head
from models.heads.parts.maps import gaussian_blur
from models.heads.registry import config_of, method_of
from models.sources.registry import SOURCES
from tests.models.heads.conftest import SIZE, TAPS, MadeParts, MadeRun, activations_of, pictures, with_spot

PICTURE_BYTES = 2 * (128 * 16**2 + 256 * 8**2 + 512 * 4**2)  # pool2, pool3 and pool4 of SIZE in half precision


def fitted(parts: MadeParts, run: MadeRun, **fields: object) -> Head:
    return method_of("spade").fit(config_of({"method": "spade", **fields}), parts, run)


def places_by_hand(good: Tensor, part: Tensor, scales: dict[str, float], count: int) -> Tensor:
    """(SIZE, SIZE) by the definition, one place against one place at a time."""
    bank, own = activations_of(good), activations_of(part[None])
    apart = (bank["pool5"].mean(dim=(2, 3)) - own["pool5"].mean(dim=(2, 3))).norm(dim=1)
    near = apart.argsort()[:count]
    found = []
    for tap in TAPS:
        gallery = bank[tap][near].permute(0, 2, 3, 1).flatten(0, 2) / scales[tap]
        query = own[tap][0].permute(1, 2, 0) / scales[tap]
        grid = torch.stack([torch.stack([(gallery - place).norm(dim=1).min() for place in line]) for line in query])
        grid /= len(own[tap][0]) ** 0.5
        found.append(functional.interpolate(grid[None, None], size=(SIZE, SIZE), mode="bilinear")[0, 0])
    return torch.stack(found).mean(dim=0)


def test_map_and_scores_are_those_of_the_definition(run: MadeRun) -> None:
    good, part = pictures(4), with_spot(pictures(1, seed=3))[0]
    parts = MadeParts(good)
    places = places_by_hand(good, part, parts.rms(), count=2)
    by_peak = fitted(parts, run, neighbours=2).judge(part[None], activations_of(part[None]), [True])
    torch.testing.assert_close(by_peak.maps[0], gaussian_blur(places[None], 4 * SIZE / 224)[0], rtol=1e-2, atol=1e-2)
    assert float(by_peak.scores[0]) == pytest.approx(float(places.max()), rel=1e-2)
    by_picture = fitted(parts, run, neighbours=2, image_score="picture")
    means = [activations_of(some)["pool5"].mean(dim=(2, 3)) for some in (good, part[None])]
    nearest = (means[0] - means[1]).norm(dim=1).sort().values[:2]
    found = by_picture.judge(part[None], activations_of(part[None]), [False])
    assert float(found.scores[0]) == pytest.approx(float(nearest.mean()), rel=1e-4)


def test_more_neighbours_than_pictures_are_all_pictures(run: MadeRun) -> None:
    parts, images = MadeParts(pictures(5)), pictures(2, seed=1)
    heads = [fitted(parts, run, neighbours=count) for count in (5, 1000)]
    first, second = (head.judge(images, activations_of(images), [True, True]) for head in heads)
    assert torch.equal(first.scores, second.scores)
    assert torch.equal(first.maps, second.maps)


def test_the_bank_is_bounded_told_and_keeps_the_pictures_that_differ_most(run: MadeRun) -> None:
    fitted(MadeParts(pictures(40)), run)
    assert run.notes == {"bank": 40, "bank_bytes": 40 * PICTURE_BYTES}
    assert run.said == ["the bank holds 40 of 40 good pictures and takes 5 MB"]
    odd = 1 - pictures(1, seed=9)
    bounded = fitted(MadeParts(torch.cat((pictures(20), odd))), run, bank_limit_mb=1)
    kept = 10**6 // PICTURE_BYTES
    assert kept == 8
    assert run.said[-2].startswith("beware: bank_limit_mb is enough for 8 of 21 pictures")
    assert run.notes == {"bank": kept, "bank_bytes": kept * PICTURE_BYTES}
    banked = bounded.tensors()
    assert len(banked["bank.pool2"]) == len(banked["pictures"]) == kept
    assert float(bounded.judge(odd, activations_of(odd), [False]).scores[0]) < 0.01  # it is in the bank itself


def test_by_picture_the_banks_are_read_for_maps_alone(run: MadeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    head = fitted(MadeParts(pictures(6)), run, image_score="picture")
    monkeypatch.setattr("models.heads.spade.head.nearest", lambda *_: pytest.fail("places were compared"))
    images = pictures(2, seed=1)
    assert head.judge(images, activations_of(images), [False, False]).maps.shape == (0, SIZE, SIZE)


def test_needs_are_the_taps_of_the_maps_and_that_of_the_picture() -> None:
    config = config_of({"method": "spade", "taps": "pool3", "image_tap": "pool4"})
    needs = [method_of("spade").needs(config, SOURCES[name]).taps for name in ("vgg16", "efficientnet-lite0")]
    assert needs == [("pool3", "pool4"), ("stride8", "stride16")]


def test_a_bank_of_other_pictures_than_the_means_is_refused(run: MadeRun) -> None:
    head = fitted(MadeParts(pictures(4)), run)
    tensors = head.tensors()
    tensors["bank.pool3"] = tensors["bank.pool3"][1:]
    with pytest.raises(ValueError, match="do not fit"):
        method_of("spade").load(head.record.model_dump(mode="json"), tensors)
