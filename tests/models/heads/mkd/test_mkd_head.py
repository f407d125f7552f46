"""The head's score and map: against finite differences, per image, through the cloner only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.heads.mkd import cloner as cloner_module
from models.heads.mkd import head as head_module
from models.heads.mkd.cloner import Cloner, ClonerSize, NoCloner, fold_batchnorm
from models.heads.mkd.config import Attribution, MkdConfig, MkdRecord
from models.heads.mkd.discrepancy import discrepancy_terms, weighted_sum
from models.heads.mkd.head import MkdHead, load_head
from models.heads.mkd.views import View, Whitening, window_grid
from models.heads.parts.maps import SigmaRule, sigma_in_pixels, smooth
from models.sources.registry import SOURCES

SIZE = 32
VGG16 = SOURCES["vgg16"]
TAPS = tuple(VGG16.taps)
TINY = [[4], [5], [6], [7], [8]]
CHANNELS = {"pool2": 5, "pool3": 6, "pool4": 7, "pool5": 8}
TINY_SOURCE = replace(VGG16, taps={name: replace(tap, channels=CHANNELS[name]) for name, tap in VGG16.taps.items()})
ATTRIBUTIONS: tuple[Attribution, ...] = ("gradients", "smoothgrad", "guided", "discrepancy")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloner of some hundred weights in place of the small one, so that every pixel's difference can be taken."""
    monkeypatch.setattr(cloner_module, "block_widths", lambda size, source: TINY)


def head(map_power: float = 1.0, attribution: Attribution = "gradients", gaussian: bool = True) -> MkdHead:
    torch.manual_seed(1)
    config = MkdRecord(
        tap_scales=(1.5, 0.7, 1.0, 2.0),
        score_weights=((1.0, 0.5), (0.3, 1.0), (0.0, 2.0), (1.0, 0.0)),
        map_weights=((0.7, 0.2), (1.0, 0.4), (2.0, 0.0), (0.0, 1.0)),
        map_power=map_power,
        attribution=attribution,
        gaussian=gaussian,
        smoothgrad_samples=2,
    )
    cloner = Cloner("small", TAPS, VGG16)
    return MkdHead(config, fold_batchnorm(cloner.eval())).double().eval()


def batch(count: int) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(count)
    images = torch.rand((count, 3, SIZE, SIZE), generator=generator, dtype=torch.float64)
    sides = dict(zip(TAPS, (8, 4, 2, 1), strict=True))
    taps = {
        tap: torch.rand((count, CHANNELS[tap], side, side), generator=generator, dtype=torch.float64)
        for tap, side in sides.items()
    }
    return images, taps


def blame(subject: MkdHead, images: Tensor, taps: dict[str, Tensor]) -> Tensor:
    """The sum that the map explains, for each image; the source's activations do not move with the image."""
    source = [tensor.expand(len(images), -1, -1, -1) for tensor in subject.scaled(taps)]
    return weighted_sum(
        discrepancy_terms(source, subject.cloner(images), subject.record.map_power), subject.map_weights
    )


def judge(subject: MkdHead, images: Tensor, taps: dict[str, Tensor], wants: Sequence[bool]) -> tuple[Tensor, Tensor]:
    output = subject.judge(images, taps, wants)
    return output.scores, output.maps


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
@torch.no_grad()
def test_the_map_is_the_finite_difference_of_the_discrepancy(power: float) -> None:
    subject = head(map_power=power)
    images, taps = batch(1)
    step = 1e-6
    steps = torch.eye(3 * SIZE * SIZE, dtype=torch.float64).mul_(step).view(-1, 3, SIZE, SIZE)
    slopes = torch.cat(
        [
            (blame(subject, images + part, taps) - blame(subject, images - part, taps)) / (2 * step)
            for part in (steps[start : start + 512] for start in range(0, len(steps), 512))
        ]
    )
    expected = smooth(slopes.view(1, 3, SIZE, SIZE).abs().sum(dim=1)).pow(1 / power)
    _, maps = judge(subject, images, taps, [True])
    assert float(expected.max()) > 0
    assert torch.allclose(maps, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))


@pytest.mark.usefixtures("tiny")
def test_the_gradient_goes_through_the_cloner_only() -> None:
    """With activations that hang on the image, a second way through the source would add to the gradient."""
    subject = head()
    images, taps = batch(1)
    _, expected = judge(subject, images, taps, [True])
    leaf = images.clone().requires_grad_(True)
    moving = {tap: tensor + (leaf.sum() - leaf.sum().detach()) for tap, tensor in taps.items()}
    _, maps = judge(subject, leaf, moving, [True])
    assert torch.allclose(maps.detach(), expected)
    assert leaf.grad is None
    assert all(parameter.grad is None for parameter in subject.parameters())


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_batch_gives_what_single_images_give(attribution: Attribution, power: float) -> None:
    subject = head(power, attribution)
    images, taps = batch(5)
    wants = [True, False, True, True, False]
    scores, maps = judge(subject, images, taps, wants)
    found = iter(maps)
    for row, wanted in enumerate(wants):
        one = {tap: tensor[row : row + 1] for tap, tensor in taps.items()}
        score, map_alone = judge(subject, images[row : row + 1], one, [wanted])
        assert torch.allclose(score, scores[row], rtol=1e-10)
        assert len(map_alone) == int(wanted)
        if wanted:
            assert torch.allclose(next(found), map_alone[0], rtol=1e-8, atol=1e-14)
    assert next(found, None) is None


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_asking_for_a_map_does_not_move_the_score(attribution: Attribution) -> None:
    subject = head(2.0, attribution)
    images, taps = batch(3)
    without, no_maps = judge(subject, images, taps, [False] * 3)
    with_maps, maps = judge(subject, images, taps, [True] * 3)
    assert torch.allclose(without, with_maps, rtol=1e-12)
    assert no_maps.shape == (0, SIZE, SIZE)
    assert maps.shape == (3, SIZE, SIZE)
    assert float(maps.min()) >= 0


@pytest.mark.usefixtures("tiny")
def test_the_score_is_the_weighted_discrepancy_of_the_scaled_taps() -> None:
    subject = head()
    images, taps = batch(2)
    scores, _ = judge(subject, images, taps, [False, False])
    with torch.no_grad():
        terms = discrepancy_terms(subject.scaled(taps), subject.cloner(images)).numpy()
    expected = (terms * np.asarray(subject.record.score_weights)).sum(axis=(1, 2))
    assert np.allclose(scores.numpy(), expected)
    scaled = subject.scaled(taps)[0]
    assert torch.equal(scaled, taps["pool2"] / 1.5)


@pytest.mark.usefixtures("tiny")
def test_smoothgrad_repeats_itself() -> None:
    subject = head(attribution="smoothgrad")
    images, taps = batch(2)
    first, second = (judge(subject, images, taps, [True, True])[1] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.usefixtures("tiny")
def test_the_attributions_differ_and_guided_leaves_no_hook_behind() -> None:
    images, taps = batch(1)
    maps = {name: judge(head(attribution=name), images, taps, [True])[1] for name in ATTRIBUTIONS}
    for name in ("smoothgrad", "guided", "discrepancy"):
        assert not torch.allclose(maps[name], maps["gradients"], rtol=1e-3)
    guided = head(attribution="guided")
    judge(guided, images, taps, [True])
    assert not any(module._forward_hooks for module in guided.cloner.modules())


@pytest.mark.usefixtures("tiny")
def test_without_the_gaussian_the_map_is_rougher() -> None:
    images, taps = batch(1)
    sharp = judge(head(gaussian=False), images, taps, [True])[1]
    soft = judge(head(), images, taps, [True])[1]
    assert float(sharp.diff(dim=2).abs().mean()) > 2 * float(soft.diff(dim=2).abs().mean())


@pytest.mark.usefixtures("tiny")
def test_saved_and_loaded_it_scores_the_same() -> None:
    subject = head().float()
    images, taps = batch(2)
    images, taps = images.float(), {tap: tensor.float() for tap, tensor in taps.items()}
    again = load_head(subject.record.model_dump(mode="json"), subject.tensors()).eval()
    expected, got = (judge(one, images, taps, [True, True]) for one in (subject, again))
    assert torch.equal(expected[0], got[0])
    assert torch.equal(expected[1], got[1])


@pytest.mark.usefixtures("tiny")
def test_tensors_that_do_not_fit_the_configuration_are_refused() -> None:
    subject = head().float()
    tensors = subject.tensors()
    tensors.popitem()
    with pytest.raises(ValueError, match="do not fit the cloner"):
        load_head(subject.record.model_dump(mode="json"), tensors)


def test_a_configuration_needs_one_number_per_tap_and_positive_scales() -> None:
    weights = ((1.0, 1.3), (1.0, 1.3))
    with pytest.raises(ValueError, match="score_weights needs one entry for each of the 2 taps"):
        MkdRecord(taps=("pool2", "pool3"), tap_scales=(1, 1), score_weights=weights[:1], map_weights=weights)
    with pytest.raises(ValueError, match="must be positive"):
        MkdRecord(taps=("pool2", "pool3"), tap_scales=(1, 0), score_weights=weights, map_weights=weights)


@pytest.mark.usefixtures("tiny")
def test_the_size_in_bytes_counts_every_tensor() -> None:
    subject = head().float()
    weights = sum(tensor.numel() * 4 for tensor in subject.tensors().values())
    assert weights < subject.size_bytes < weights + 200


@pytest.mark.parametrize("attribution", ["gradients", "discrepancy", "shares"])
def test_a_map_by_views_is_of_each_row_alone_and_survives_saving(tiny: None, attribution: Attribution) -> None:
    subject = viewing_head(attribution)
    images, taps = batch(3)
    together = subject.judge(images, taps, [True] * 3)
    alone = subject.judge(images[1:2], {tap: tensor[1:2] for tap, tensor in taps.items()}, [True])
    np.testing.assert_allclose(together.maps[1], alone.maps[0], rtol=1e-6)
    np.testing.assert_allclose(together.scores[1], alone.scores[0], rtol=1e-6)
    again = load_head(subject.record.model_dump(mode="json"), subject.tensors()).double().eval()
    np.testing.assert_allclose(again.judge(images, taps, [True] * 3).maps, together.maps, rtol=1e-3)


def test_a_gradient_map_by_views_is_the_gradient_of_the_summed_distances(tiny: None) -> None:
    subject = viewing_head("gradients")
    images, taps = batch(1)
    inputs = images.clone().requires_grad_(True)
    distances = subject.whitening.distances(
        subject.record.map_views, subject.record.taps, subject.scaled(taps), subject.cloner(inputs)
    )
    (gradients,) = torch.autograd.grad(sum((one.mean() for one in distances), torch.zeros(())), inputs)
    expected = smooth(gradients.abs().sum(dim=1))
    np.testing.assert_allclose(subject.judge(images, taps, [True]).maps, expected, rtol=1e-6)


@pytest.mark.usefixtures("tiny")
def test_a_map_of_shares_sums_to_the_logarithms_of_the_scores_own_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is smoothed, whatever shaped it."""
    monkeypatch.setattr(head_module, "smooth", lambda maps, **_: maps)
    subject = viewing_head("shares")
    images, taps = batch(3)
    scores, maps = judge(subject, images, taps, [True] * 3)
    source, views = subject.scaled(taps), subject.record.score_views
    found = subject.whitening.distances(views, subject.record.taps, source, subject.cloner(images))
    expected = sum(w * one.log1p().mean(dim=(1, 2)) for w, one in zip((2.0, 2.0, 0.5), found, strict=True))
    torch.testing.assert_close(maps.mean(dim=(1, 2)), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(scores, judge(subject, images, taps, [False] * 3)[0], rtol=1e-9, atol=0)


@pytest.mark.usefixtures("tiny")
def test_shares_take_one_backward_pass_a_batch_through_the_cloner_and_none_for_rows_that_do_not_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = viewing_head("shares")
    images, taps = batch(3)
    rows: list[int] = []
    backward = torch.autograd.grad

    def counted(outputs: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        rows.append(len(inputs[-1]))
        return backward(outputs, inputs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    moving = {tap: tensor.clone().requires_grad_(True) for tap, tensor in taps.items()}
    judge(subject, images, moving, [True, False, True])
    assert rows == [2]
    assert all(tensor.grad is None for tensor in moving.values())
    judge(subject, images, taps, [False] * 3)
    assert rows == [2]


@pytest.mark.usefixtures("tiny")
def test_the_pixels_gradient_shapes_a_map_of_shares_and_without_a_cloner_there_is_none() -> None:
    images, taps = batch(2)
    plain, shaped = (judge(viewing_head("shares", sharpness), images, taps, [True] * 2)[1] for sharpness in (0.0, 0.5))
    assert not torch.allclose(plain, shaped, rtol=1e-2)
    subject = viewing_head("shares", cloner="none")
    scores, maps = judge(subject, images, taps, [True] * 2)
    assert bool(maps.isfinite().all())
    torch.testing.assert_close(scores, judge(subject, images, taps, [False] * 2)[0], rtol=1e-9, atol=0)


@pytest.mark.usefixtures("tiny")
def test_by_window_a_maps_gaussian_is_half_the_finest_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[float] = []

    def unsmoothed(maps: Tensor, *, gaussian: bool, sigma: float) -> Tensor:
        taken.append(sigma)
        return maps

    monkeypatch.setattr(head_module, "smooth", unsmoothed)
    images, taps = batch(1)
    large = torch.nn.functional.interpolate(images, size=(8 * SIZE, 8 * SIZE))
    wide = {tap: torch.nn.functional.interpolate(one, scale_factor=8.0) for tap, one in taps.items()}
    rules: list[SigmaRule] = ["input", "window", 5.0]
    for rule in rules:
        found = viewing_head("discrepancy", cloner="none", map_sigma=rule)
        assert torch.equal(judge(found, images, taps, [True])[1], judge(found, images, taps, [True])[1])
        judge(found, large, wide, [True])
    # pool2 has 64 places on 256 pixels and windows of 16: 64 pixels; pool3 has single places of 8
    assert taken[2::3] == [8.0, 4.0, 5.0]
    assert taken[0] == taken[3] == 1.0  # at 32 pixels both rules are the paper's share
    assert (
        MkdRecord.model_validate(viewing_head("shares").record.model_dump(exclude={"map_sigma"})).map_sigma == "input"
    )


def viewing_head(
    attribution: Attribution, sharpness: float = 0.125, cloner: ClonerSize = "small", map_sigma: SigmaRule = "input"
) -> MkdHead:
    views = (View(tap="pool2", window=25), View(tap="pool3", window=0), View(tap="pool3", window=100))
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for view in views:
        width = CHANNELS[view.tap]
        tensors[f"{view.key}.mean"] = 0.1 * torch.rand(width, generator=generator)
        tensors[f"{view.key}.matrix"] = torch.rand((width, width), generator=generator)
    torch.manual_seed(1)
    config = MkdRecord(
        tap_scales=(1.5, 0.7, 1.0, 2.0),
        score_weights=((1.0, 0.0),) * 4,
        map_weights=((1.0, 0.0),) * 4,
        score_views=views,
        score_power=8.0,
        view_scales=(0.5, 1.0, 2.0),
        map_views=views[:2],
        map_whole=0.5,
        map_sharpness=sharpness,
        map_sigma=map_sigma,
        attribution=attribution,
    )
    network = NoCloner(TAPS, TINY_SOURCE) if cloner == "none" else fold_batchnorm(Cloner("small", TAPS, VGG16).eval())
    return MkdHead(config, network, (), Whitening(views, tensors)).double().eval()


@pytest.mark.parametrize("size", [32, 64, 128, 256, 384, 512])
def test_by_window_the_defaults_own_views_are_smoothed_as_before_at_any_usual_size(size: int) -> None:
    """They grow with the picture, and so does half of the finest one's width."""
    config = MkdConfig()
    strides = {view: VGG16.taps[view.tap].stride for view in config.map_views}
    width = min(window_grid(view.window, size // stride)[0] * stride for view, stride in strides.items())
    assert config.map_sigma == "window"
    assert sigma_in_pixels(config.map_sigma, size, width) == 4 * size / 128
