"""Several methods under one verdict: the sum, what decides, the map, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.heads.base import Head
from models.heads.combined.config import CombinedConfig
from models.heads.combined.head import CombinedHead
from models.heads.combined.usual import Usual
from models.heads.registry import config_of, method_of
from tests.models.heads.conftest import SIZE, MadeParts, MadeRun, activations_of, pictures, with_spot

PADIM: dict[str, Any] = {"settings": {"method": "padim", "dimensions": 40}}
BANK: dict[str, Any] = {"settings": {"method": "patchcore", "bank_size": 100, "candidates": 400}}
WHOLE_VIEWS = ["pool4:100"]
WHOLE: dict[str, Any] = {
    "settings": {
        "method": "mkd",
        "cloner": "none",
        "attribution": "discrepancy",
        "score_views": WHOLE_VIEWS,
        "map_views": WHOLE_VIEWS,  # the usual ones of a map take seconds to fit
    },
    "score": 0.5,
    "peak": 1.0,
}


def fitted(parts: MadeParts, run: MadeRun, **settings: object) -> CombinedHead:
    config = config_of({"method": "combined", **settings})
    head = method_of("combined").fit(config, parts, run)
    assert isinstance(head, CombinedHead)
    return head


def scores_of(head: Head, images: torch.Tensor) -> torch.Tensor:
    return head.judge(images, activations_of(images), [False] * len(images)).scores


@pytest.mark.parametrize("way", ["logs", "p_values"])
def test_a_spot_scores_above_good_parts_and_a_member_is_named(way: str, parts: MadeParts, run: MadeRun) -> None:
    head = fitted(parts, run, members=[PADIM, WHOLE], sum=way)
    assert head.names == ("padim", "mkd", "mkd:peak")
    assert set(head.needs.taps) == {"pool2", "pool3", "pool4"}
    good, bad = pictures(8, seed=1), with_spot(pictures(8, seed=2))
    found = head.judge(bad, activations_of(bad), [True] * 8)
    assert found.scores.min() > scores_of(head, good).max()
    assert set(found.decided) <= set(head.names)
    assert len(found.decided) == 8
    for one in found.maps:
        y, x = divmod(int(one.argmax()), SIZE)
        assert (2 <= y < 26, 16 <= x < 48) == (True, True)


def test_the_score_is_the_weighted_sum_of_its_members_logarithms(parts: MadeParts, run: MadeRun) -> None:
    head = fitted(parts, run, members=[PADIM, {**BANK, "score": 2.0}])
    images = with_spot(pictures(3, seed=4))
    alone = []
    for member in (PADIM, BANK):
        config = config_of(member["settings"])
        alone.append(scores_of(method_of(config.method).fit(config, parts, MadeRun()), images))
    torch.testing.assert_close(scores_of(head, images), alone[0].log() + 2 * alone[1].log(), rtol=1e-4, atol=1e-4)


def test_a_batch_equals_singles_and_a_loaded_head_the_fitted_one(parts: MadeParts, run: MadeRun) -> None:
    for way in ("logs", "p_values"):
        head = fitted(parts, run, members=[PADIM, WHOLE], sum=way)
        images = torch.cat((pictures(3, seed=1), with_spot(pictures(2, seed=2))))
        wants = [True, False, True, False, True]
        together = head.judge(images, activations_of(images), wants)
        singles = [
            head.judge(one[None], activations_of(one[None]), [want]) for one, want in zip(images, wants, strict=True)
        ]
        torch.testing.assert_close(together.scores, torch.cat([one.scores for one in singles]), rtol=2e-3, atol=1e-3)
        torch.testing.assert_close(together.maps, torch.cat([one.maps for one in singles]), rtol=2e-3, atol=1e-3)
        again = method_of("combined").load(head.record.model_dump(mode="json"), head.tensors())
        assert again.needs == head.needs
        loaded = again.judge(images, activations_of(images), wants)
        assert torch.equal(loaded.scores, together.scores)
        assert loaded.decided == together.decided


def test_the_member_that_lies_furthest_above_its_usual_decided() -> None:
    usual = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
    for way in ("logs", "p_values"):
        judge = Usual(usual, torch.ones(2, dtype=torch.float64), way)
        _, decided = judge.scores(torch.tensor([[9.0, 20.0], [2.0, 90.0]], dtype=torch.float64))
        assert decided.tolist() == [0, 1]


def test_surprise_is_the_conformal_one_within_the_seen_and_grows_strictly_beyond() -> None:
    usual = torch.arange(1.0, 101.0)[:, None]
    judge = Usual(usual, torch.ones(1, dtype=torch.float64), "p_values")
    values = torch.tensor([0.0, 1.0, 50.0, 76.0, 100.0, 150.0, 151.0], dtype=torch.float64)
    found = judge.surprise(values, 0)
    torch.testing.assert_close(found[2].exp().reciprocal(), torch.tensor(52 / 101, dtype=torch.float64))
    torch.testing.assert_close(found[3].exp().reciprocal(), torch.tensor(26 / 101, dtype=torch.float64))
    assert float(found[0]) == float(found[1])
    assert bool((found[1:].diff() > 0).all())


def test_p_values_do_not_depend_on_a_members_unit_or_sign() -> None:
    generator = torch.Generator().manual_seed(0)
    usual, terms = (torch.randn(count, 2, generator=generator, dtype=torch.float64) for count in (40, 9))
    factor, shift = torch.tensor([3.0, 0.1], dtype=torch.float64), torch.tensor([-7.0, 100.0], dtype=torch.float64)
    weights = torch.ones(2, dtype=torch.float64)
    plain = Usual(usual, weights, "p_values").scores(terms)
    other = Usual(usual * factor + shift, weights, "p_values").scores(terms * factor + shift)
    torch.testing.assert_close(plain[0], other[0])
    with pytest.raises(ValueError, match="sum=p_values"):
        Usual(usual, weights, "logs")


def test_good_images_that_are_all_alike_give_finite_scores() -> None:
    judge = Usual(torch.ones(5, 1), torch.ones(1, dtype=torch.float64), "p_values")
    assert bool(judge.scores(torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64))[0].isfinite().all())


def test_a_members_notes_and_words_carry_its_name_and_folds_say_nothing(parts: MadeParts, run: MadeRun) -> None:
    fitted(parts, run, members=[PADIM, PADIM])
    assert {"padim.regularisation", "padim-2.regularisation", "members"} <= set(run.notes)
    assert [text.partition(":")[0] for text in run.said] == ["padim", "padim-2"]


def test_members_may_be_given_by_name_alone() -> None:
    config = config_of({"method": "combined", "members": "padim, whole, patchcore"})
    assert isinstance(config, CombinedConfig)
    assert [str(one) for one in config.members] == ["padim", "whole", "patchcore"]
    assert [one.settings.method for one in config.members] == ["padim", "mkd", "patchcore"]


def test_a_member_that_cannot_be_is_refused() -> None:
    for members, words in (
        ([{"settings": {"method": "combined"}}], "cannot be a member"),
        ([{"settings": {"method": "padim"}, "score": 0}], "neither score nor peak"),
        ([{"settings": {"method": "padum"}}], "did you mean padim"),
        ([], "at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            config_of({"method": "combined", "members": members})


def test_tensors_that_are_missing_or_strange_are_refused(parts: MadeParts, run: MadeRun) -> None:
    head = fitted(parts, run, members=[PADIM, BANK])
    record, tensors = head.record.model_dump(mode="json"), head.tensors()
    load = method_of("combined").load
    for changed in (
        {name: one for name, one in tensors.items() if name != "usual"},
        {name: one for name, one in tensors.items() if name != "1.bank"},
        {**tensors, "2.bank": tensors["1.bank"]},
    ):
        with pytest.raises(ValueError, match="and nothing else"):
            load(record, changed)
    with pytest.raises(ValueError, match="usual needs a column"):
        load(record, {**tensors, "usual": tensors["usual"][:, :1]})
