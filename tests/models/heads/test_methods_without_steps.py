"""PaDiM and PatchCore on stand-in activations: a spot scores above good parts and is shown where it is."""

from __future__ import annotations

import pytest
import torch

from models.heads.base import Head, taps_of
from models.heads.registry import config_of, method_of
from models.sources.registry import SOURCES
from tests.models.heads.conftest import SIZE, MadeParts, MadeRun, activations_of, pictures, with_spot

CASES: tuple[dict[str, object], ...] = (
    {"method": "padim", "dimensions": 60},
    {"method": "padim", "dimensions": 60, "reduction": "channels", "regularisation": 0.01},
    {"method": "padim", "dimensions": 60, "covariance": "shared", "score_share": 0.05},
    {"method": "patchcore", "bank_size": 200, "candidates": 1000},
    {"method": "patchcore", "bank_size": 200, "candidates": 1000, "whiten": False},
    {"method": "patchcore", "bank_size": 200, "candidates": 1000, "reweight": True, "score_share": 0.05},
    {"method": "spade"},
)


def fitted(case: dict[str, object], parts: MadeParts, run: MadeRun) -> Head:
    config = config_of(case)
    return method_of(config.method).fit(config, parts, run)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_spot_scores_above_every_good_part_and_lights_the_map_where_it_is(
    case: dict[str, object], parts: MadeParts, run: MadeRun
) -> None:
    head = fitted(case, parts, run)
    good, bad = pictures(8, seed=1), with_spot(pictures(8, seed=2))
    quiet = head.judge(good, activations_of(good), [False] * 8)
    found = head.judge(bad, activations_of(bad), [True] * 8)
    assert quiet.maps.shape == (0, SIZE, SIZE)
    assert found.scores.min() > quiet.scores.max()
    for one in found.maps:
        y, x = divmod(int(one.argmax()), SIZE)
        assert (2 <= y < 26, 16 <= x < 48) == (True, True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_batch_equals_singles_and_a_loaded_head_the_fitted_one(
    case: dict[str, object], parts: MadeParts, run: MadeRun
) -> None:
    head = fitted(case, parts, run)
    images = torch.cat((pictures(5, seed=1), with_spot(pictures(2, seed=2))))
    wants = [True, False, True, True, False, True, False]
    together = head.judge(images, activations_of(images), wants)
    singles = [
        head.judge(one[None], activations_of(one[None]), [want]) for one, want in zip(images, wants, strict=True)
    ]
    torch.testing.assert_close(together.scores, torch.cat([one.scores for one in singles]), rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(together.maps, torch.cat([one.maps for one in singles]), rtol=2e-3, atol=1e-3)
    again = method_of(head.method).load(head.record.model_dump(mode="json"), head.tensors())
    assert again.needs == head.needs
    assert torch.equal(again.judge(images, activations_of(images), wants).scores, together.scores)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tensors_that_are_missing_or_do_not_fit_are_refused(
    case: dict[str, object], parts: MadeParts, run: MadeRun
) -> None:
    head = fitted(case, parts, run)
    record, tensors = head.record.model_dump(mode="json"), head.tensors()
    name = min(tensors)
    with pytest.raises(ValueError, match="and nothing else"):
        method_of(head.method).load(record, {key: value for key, value in tensors.items() if key != name})
    if "mean" in tensors:
        with pytest.raises(ValueError, match="fit"):
            method_of(head.method).load(record, {**tensors, "mean": tensors["mean"][..., :-1]})


def test_the_same_seed_gives_the_same_head(parts: MadeParts) -> None:
    for case in CASES:
        first, second = (fitted(case, parts, MadeRun()).tensors() for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_padim_says_when_parts_do_not_lie_still(run: MadeRun) -> None:
    fit, config = method_of("padim").fit, config_of({"method": "padim", "dimensions": 40, "regularisation": 0.001})
    fit(config, MadeParts(pictures(40)), run)
    assert run.said[-1].startswith("covariance place describes unseen good parts better")
    generator = torch.Generator().manual_seed(0)
    fit(config, MadeParts(torch.rand(24, 3, SIZE, SIZE, generator=generator)), run)
    assert run.said[-1].startswith("beware: covariance shared describes unseen good parts better")
    assert float(str(run.notes["place_gain_nats"])) < 0


def test_a_grid_too_fine_for_a_covariance_of_each_place_has_the_shared_one(
    run: MadeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.heads.padim.method.MOST_COMPARED", 1)
    config = config_of({"method": "padim", "dimensions": 40, "covariance": "shared"})
    head = method_of("padim").fit(config, MadeParts(pictures(24)), run)
    assert len(head.tensors()["mean"]) == 1
    assert "it is not compared" in run.said[-1]
    assert run.notes["regularisation"]


def test_the_bank_holds_no_more_than_asked_and_than_there_is(parts: MadeParts, run: MadeRun) -> None:
    small = fitted({"method": "patchcore", "bank_size": 7, "candidates": 100}, parts, run)
    assert len(small.tensors()["bank"]) == 7
    all_kept = fitted({"method": "patchcore", "bank_size": 100_000, "candidates": 100_000}, parts, run)
    assert len(all_kept.tensors()["bank"]) == 40 * (SIZE // 8) ** 2


def test_default_taps_stand_for_those_of_the_same_stride_in_another_source() -> None:
    lite = SOURCES["efficientnet-lite0"]
    assert taps_of(("pool2", "pool3", "pool4"), lite) == ("stride4", "stride8", "stride16")
    for name in ("padim", "patchcore", "mkd", "spade", "simplenet"):
        method = method_of(name)
        assert set(method.needs(config_of({"method": name}), lite).taps) <= set(lite.taps)
    with pytest.raises(ValueError, match="has no tap 'pool9'; it has stride4"):
        method_of("patchcore").needs(config_of({"method": "patchcore", "taps": ("pool9",)}), lite)
