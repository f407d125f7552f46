"""The loss of a batch is the paper's, lambda is measured, and the finished head weighs as its recipe says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from pydantic import ValidationError

from models.heads.mkd.config import MkdConfig
from models.heads.mkd.discrepancy import discrepancy_terms
from models.heads.mkd.fit import MkdTrainable
from models.heads.mkd.head import MkdHead, load_head
from models.heads.mkd.method import MkdMethod
from models.sources.registry import SOURCES
from tests.models.heads.conftest import MadeParts, MadeRun, pictures

RMS = {"pool2": 4.0, "pool3": 3.0, "pool4": 2.0, "pool5": 0.5}
VGG16 = SOURCES["vgg16"]
TAPS = tuple(VGG16.taps)
Batch = tuple[torch.Tensor, dict[str, torch.Tensor]]


def recipe(**fields: object) -> MkdConfig:
    return MkdConfig.model_validate({"recipe": "paper", "step_precision": "float32", **fields})


def trainee(**fields: object) -> MkdTrainable:
    torch.manual_seed(0)
    return MkdTrainable(recipe(**fields), RMS, VGG16)


def terms(head: MkdHead, images: torch.Tensor, taps: dict[str, torch.Tensor]) -> torch.Tensor:
    """Every tap and term of a score apart, (B, taps, 2), before its weights."""
    with torch.no_grad():
        return head._score_terms(head.scaled(taps), head.cloner(images))


def batch(seed: int = 0, count: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((count, 3, 32, 32), generator=generator)
    taps = {
        tap: RMS[tap]
        * torch.rand((count, VGG16.taps[tap].channels, *[32 // VGG16.taps[tap].stride] * 2), generator=generator)
        for tap in TAPS
    }
    return images, taps


@torch.no_grad()
def terms_of(subject: MkdTrainable, images: torch.Tensor, taps: dict[str, torch.Tensor]) -> torch.Tensor:
    source = [taps[tap] / RMS[tap] for tap in subject.config.taps]
    return discrepancy_terms(source, subject.cloner(images))


def test_lambda_auto_is_the_ratio_of_the_terms_on_the_untrained_cloner() -> None:
    subject = trainee(lambda_dir="auto").eval()
    subject.begin(*batch())
    val, direction = terms_of(subject, *batch()).sum(dim=1).mean(dim=0).tolist()
    assert float(subject.lambda_dir) == pytest.approx(val / direction, rel=1e-5)


def test_a_lambda_that_was_given_stays() -> None:
    subject = trainee(lambda_dir=2.5)
    subject.begin(*batch())
    assert float(subject.lambda_dir) == 2.5


@pytest.mark.parametrize(("loss", "share"), [("total", (1.0, 2.0)), ("val", (1.0, 0.0)), ("dir", (0.0, 2.0))])
def test_the_loss_is_eq_4_averaged_over_the_batch(loss: str, share: tuple[float, float]) -> None:
    subject = trainee(loss=loss, score_loss=loss, map_loss=loss, lambda_dir=2.0).eval()
    terms = terms_of(subject, *batch())
    expected = (share[0] * terms[:, :, 0] + share[1] * terms[:, :, 1]).sum(dim=1).mean()
    assert float(subject.loss(*batch()).detach()) == pytest.approx(float(expected), rel=1e-5)


def test_only_the_cloner_is_trained() -> None:
    subject = trainee()
    subject.begin(*batch())
    subject.loss(*batch()).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in subject.cloner.parameters())
    assert {id(p) for p in subject.parameters()} == {id(p) for p in subject.cloner.parameters()}


def test_a_plain_sum_weighs_one_and_lambda_at_every_tap() -> None:
    head = trainee(score_balance="sum", map_balance="sum", lambda_dir=2.0).finish([batch()])
    assert head.record.score_weights == ((1.0, 2.0),) * 4
    assert head.record.map_weights == ((1.0, 2.0),) * 4
    assert head.record.tap_scales == tuple(RMS[tap] for tap in TAPS)


def test_balanced_terms_speak_equally_loud_on_the_training_images() -> None:
    subject = trainee(score_balance="terms", lambda_dir=1.0).eval()
    head = subject.finish([batch(0), batch(1, count=2)])
    images = torch.cat([batch(0)[0], batch(1, 2)[0]])
    taps = {tap: torch.cat([batch(0)[1][tap], batch(1, 2)[1][tap]]) for tap in TAPS}
    loudness = (terms(head, images, taps) * torch.tensor(head.record.score_weights)).mean(dim=0)
    assert torch.allclose(loudness, torch.ones(4, 2), rtol=1e-4)


def test_balanced_maps_raise_the_weights_to_their_power() -> None:
    subject = trainee(score_balance="terms", map_balance="terms", map_power=2.0, lambda_dir=1.0).eval()
    config = subject.finish([batch()]).record
    score, blame = torch.tensor(config.score_weights), torch.tensor(config.map_weights)
    assert torch.allclose(blame, score**2, rtol=1e-5)


def test_taps_and_terms_that_the_recipe_leaves_out_weigh_nothing() -> None:
    head = trainee(
        score_balance="sum", map_balance="sum", lambda_dir=3.0, score_taps=("pool4", "pool5"), map_loss="val"
    ).finish([batch()])
    assert head.record.score_weights == ((0.0, 0.0), (0.0, 0.0), (1.0, 3.0), (1.0, 3.0))
    assert head.record.map_weights == ((1.0, 0.0),) * 4


def test_unscaled_taps_are_divided_by_one() -> None:
    assert trainee(scale_taps=False, lambda_dir=1.0).finish([batch()]).record.tap_scales == (1.0,) * 4


def test_a_head_balanced_on_no_images_is_refused() -> None:
    with pytest.raises(ValueError, match="without training images"):
        trainee(score_balance="terms", lambda_dir=1.0).finish([])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"taps": ("pool4", "pool5"), "score_taps": ("pool3",)}, "score_taps pool3 are not among the trained taps"),
        ({"taps": ("pool4",), "map_taps": ("pool2", "pool3")}, "map_taps pool2, pool3"),
        ({"loss": "val"}, "score_loss total needs a term that loss val does not train"),
        ({"loss": "dir", "score_loss": "dir", "map_loss": "val"}, "map_loss val needs"),
        ({"taps": ()}, "at least 1"),
        ({"attribution": "lime"}, "attribution"),
        ({"cloner": "none", "attribution": "guided"}, "attribution is discrepancy or shares"),
        ({"recipe": "paper", "attribution": "shares"}, "give map_views"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        recipe(**fields)


def test_levels_are_what_is_usual_at_each_place_on_the_training_images() -> None:
    subject = trainee(score_loss="val", score_balance="terms", score_power=4.0, score_relative=True, score_levels=True)
    head = subject.eval().finish([batch(0), batch(1, count=2)])
    assert [tuple(head.get_buffer(f"level_{tap}").shape) for tap in TAPS] == [(8, 8), (4, 4), (2, 2), (1, 1)]
    images = torch.cat([batch(0)[0], batch(1, 2)[0]])
    taps = {tap: torch.cat([batch(0)[1][tap], batch(1, 2)[1][tap]]) for tap in TAPS}
    loudness = (terms(head, images, taps) * torch.tensor(head.record.score_weights)).mean(dim=0)
    assert torch.allclose(loudness[:, 0], torch.ones(4), rtol=1e-4)
    again = load_head(head.record.model_dump(), head.tensors())
    assert torch.equal(again.judge(images, taps, [False] * 6).scores, head.judge(images, taps, [False] * 6).scores)


def test_a_head_whose_levels_are_missing_is_refused() -> None:
    head = trainee(score_levels=True).eval().finish([batch()])
    tensors = {name: tensor for name, tensor in head.tensors().items() if name != "levels.pool4"}
    with pytest.raises(ValueError, match="levels"):
        load_head(head.record.model_dump(), tensors)


def views(*pairs: tuple[str, int]) -> list[dict[str, object]]:
    return [{"tap": tap, "window": window} for tap, window in pairs]


def test_powers_measure_each_score_view_by_its_spread_on_the_training_images() -> None:
    subject = trainee(score_views=views(("pool3", 25), ("pool4", 100)), score_power=8.0, lambda_dir=1.0).eval()
    head = subject.finish([batch(0), batch(1)])
    spread = torch.cat([head.view_terms(*batch(seed)) for seed in (0, 1)]).double().std(dim=0, correction=0)
    least = 0.02 * torch.cat([head.view_terms(*batch(seed)) for seed in (0, 1)]).double().mean(dim=0)
    assert head.record.view_scales == pytest.approx(spread.maximum(least).tolist(), rel=1e-5)
    scaled = head.view_terms(*batch(3)) / spread.maximum(least)
    expected = scaled.pow(4).sum(dim=1).pow(0.25).tolist()
    assert head.judge(*batch(3), [False] * 4).scores.tolist() == pytest.approx(expected, rel=1e-4)


def test_logs_add_the_views_up_without_any_yardstick() -> None:
    seen = views(("pool3", 25), ("pool4", 100))
    head = trainee(score_views=seen, view_sum="logs", lambda_dir=1.0).eval().finish([batch(0), batch(1)])
    assert head.record.view_scales == (1.0, 1.0)
    expected = head.view_terms(*batch(3)).log1p().sum(dim=1).tolist()
    assert head.judge(*batch(3), [False] * 4).scores.tolist() == pytest.approx(expected, rel=1e-5)


def test_views_and_levels_come_from_one_look_at_the_training_images() -> None:
    looks = 0

    def batches() -> Iterator[Batch]:
        nonlocal looks
        looks += 1
        yield batch(0)
        yield batch(1)

    subject = trainee(score_levels=True, map_views=views(("pool4", 0)), attribution="discrepancy", lambda_dir=1.0)
    head = subject.eval().finish(batches())
    assert looks == 1
    assert {name.split(".")[0] for name in head.tensors()} == {"cloner", "levels", "whitening"}


def test_images_that_are_all_alike_do_not_make_a_view_shout() -> None:
    head = trainee(score_views=views(("pool4", 100)), lambda_dir=1.0).eval().finish([batch(5, count=1)])
    least = 0.02 * float(head.view_terms(*batch(5, count=1)))
    assert head.record.view_scales[0] == pytest.approx(max(least, 1e-12), rel=1e-4)


def test_a_view_of_a_tap_that_is_not_trained_is_refused() -> None:
    with pytest.raises(ValidationError, match="pool5"):
        recipe(taps=["pool4"], score_views=views(("pool5", 25)), map_loss="val", score_loss="val")


def test_bfloat16_steps_have_nearly_the_loss_and_gradient_of_float32_and_keep_float32_weights() -> None:
    exact, half = trainee().train(), trainee(step_precision="bfloat16").train()
    half.load_state_dict(exact.state_dict())
    images, taps = batch()
    losses = [subject.loss(images, taps) for subject in (exact, half)]
    assert losses[0] != losses[1], "the convolutions did multiply in another precision"
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.01)
    first, second = [
        torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(subject.cloner.parameters()))])
        for loss, subject in zip(losses, (exact, half), strict=True)
    ]
    assert (
        torch.cosine_similarity(first, second, dim=0) > 0.9
    )  # four pictures of noise: as good as another draw of them
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float32}


@pytest.mark.parametrize("count", [6, 60])
def test_a_fit_says_how_far_places_are_told_apart(count: int, run: MadeRun) -> None:
    views = ("pool3:12:place", "pool4:25")
    config = MkdConfig(cloner="none", score_views=views, map_views=views)  # type: ignore[arg-type]
    MkdMethod().fit(config, MadeParts(pictures(count)), run)
    (own,) = run.notes["own_covariance"].values()  # type: ignore[attr-defined]
    assert f"pool3:12:place {own:.0%}" in run.said[0]
    # Too few for a comparison: all of it is that of all places. Pictures with a bar that lies still are told apart.
    assert own == 0 if count == 6 else own > 0.5
    assert (run.said[1:] == []) == (count == 60)
    MkdMethod().fit(
        MkdConfig(recipe="paper", steps=1, cloner="none", attribution="discrepancy"),
        MadeParts(pictures(4)),
        silent := MadeRun(),
    )
    assert silent.said == []
