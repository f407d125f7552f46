"""With two sizes a head looks at the picture and at its half: named, trained, judged and explained together."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

import models.heads.mkd.head as head_module
from models.heads.base import GoodParts, HeadOutput, Trainable
from models.heads.mkd.config import DEFAULT_VIEWS, MkdConfig
from models.heads.mkd.fit import MkdTrainable
from models.heads.mkd.half_size import BothSizes, half_of, halved, with_half
from models.heads.mkd.head import MkdHead
from models.heads.mkd.method import MkdMethod, in_terms_of
from models.heads.mkd.views import View
from models.heads.parts.loop_settings import LoopSettings
from models.heads.registry import config_of
from models.sources.registry import SOURCES
from tests.models.heads.conftest import VGG16, MadeParts, MadeRun, activations_of, pictures, with_spot
from trainer.activations import ActivationStore
from trainer.good_parts import StoredParts
from trainer.loop import GradientLoop

HALVES = tuple(f"{view.split(':')[0]}/2:{view.split(':', 1)[1]}" for view in DEFAULT_VIEWS)


class SteppedRun(MadeRun):
    """A run with the real gradient loop."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        GradientLoop(
            trainable, parts, settings, seed=0, checkpoint=self._folder / "loop.safetensors", fingerprint=""
        ).run()


@pytest.fixture(scope="module", params=["small", "none"])
def head(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MkdHead:
    """Fitted to sixteen good pictures, with a cloner of a few steps and without one."""
    config = config_of({"method": "mkd", "two_sizes": True, "cloner": request.param, "steps": 3})
    assert isinstance(config, MkdConfig)
    return MkdMethod().fit(config, MadeParts(pictures(16)), SteppedRun(tmp_path_factory.mktemp("two")))


class Averages:
    """A source of stand-in activations. See SourceBackend."""

    name = "averages"

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        return {tap: found for tap, found in activations_of(images).items() if taps is None or tap in taps}


def judged(head: MkdHead, images: Tensor, wants: list[bool]) -> HeadOutput:
    activations = activations_of(images)
    return head.judge(images, activations, wants, activations_of(head.changed(images, activations)))


def test_two_sizes_adds_each_view_of_the_recipe_at_half_the_size() -> None:
    config = MkdConfig(two_sizes=True)
    assert tuple(map(str, config.score_views)) == tuple(map(str, config.map_views)) == (*DEFAULT_VIEWS, *HALVES)
    assert config.half_taps == ("pool3/2", "pool4/2")
    again = MkdConfig.model_validate_json(config.model_dump_json())
    assert again == config


def test_views_at_half_size_can_be_named_one_by_one_and_need_their_tap() -> None:
    config = MkdConfig.model_validate({"score_views": "pool3:12:place,pool4/2:25"})
    assert config.half_taps == ("pool4/2",)
    assert View.model_validate("pool4/2:25:place").key == "pool4_half_25_place"
    with pytest.raises(ValidationError, match="a view of pool5 needs that tap"):
        MkdConfig.model_validate({"score_views": "pool5/2:25"})


def test_two_sizes_leave_a_half_view_that_is_named_as_it_is_and_add_the_others() -> None:
    config = MkdConfig.model_validate(
        {"two_sizes": True, "score_views": "pool3:12,pool4/2:25", "map_views": "pool3:12"}
    )
    assert tuple(map(str, config.score_views)) == ("pool3:12", "pool4/2:25", "pool3/2:12")
    assert tuple(map(str, config.map_views)) == ("pool3:12", "pool3/2:12")


def test_a_recipe_without_views_cannot_have_two_sizes() -> None:
    with pytest.raises(ValidationError, match="two_sizes adds views at half the picture's size, and there is no view"):
        MkdConfig.model_validate({"recipe": "paper", "two_sizes": True})


def test_only_two_sizes_ask_for_a_further_pass_and_train_other_weights() -> None:
    one, two = MkdConfig(), MkdConfig(two_sizes=True)
    assert not MkdMethod().needs(one, VGG16).further_pass
    assert MkdMethod().needs(two, VGG16).further_pass
    assert "sizes" not in json.loads(one.fingerprint)
    assert json.loads(two.fingerprint)["sizes"] == 2


def test_a_tap_that_half_the_picture_has_no_whole_places_of_is_refused() -> None:
    config = MkdConfig(two_sizes=True, cloner="none", taps=("pool2", "pool3", "pool4", "pool5"))
    parts = MadeParts(pictures(2)[..., :32, :32])
    parts.image_size = 32
    with pytest.raises(ValueError, match=r"at half of 32 pixels the tap of stride 32 .* a multiple of 64, or leave"):
        MkdMethod().fit(config, parts, MadeRun())


def test_the_views_get_the_sources_own_names() -> None:
    own = in_terms_of(MkdConfig(two_sizes=True), SOURCES["efficientnet-lite0"])
    assert own.half_taps == ("stride8/2", "stride16/2")
    assert str(own.score_views[-1]) == "stride16/2:25"


def test_a_batch_equals_singles_and_a_loaded_head_the_fitted_one(head: MkdHead) -> None:
    images = torch.cat([pictures(2, seed=3), with_spot(pictures(2, seed=4))])
    together = judged(head, images, [True, False, True, True])
    singles = [judged(head, image[None], [True]) for image in images]
    torch.testing.assert_close(together.scores, torch.cat([one.scores for one in singles]), rtol=1e-4, atol=1e-5)
    maps = torch.cat([singles[row].maps for row in (0, 2, 3)])
    torch.testing.assert_close(together.maps, maps, rtol=1e-3, atol=1e-4)
    loaded = MkdMethod().load(head.record.model_dump(mode="json"), head.tensors())
    assert torch.equal(judged(loaded, images, [False] * 4).scores, judged(head, images, [False] * 4).scores)


def test_a_spot_is_seen_and_the_half_sizes_views_have_their_part_in_it(head: MkdHead) -> None:
    good, bad = pictures(4, seed=5), with_spot(pictures(4, seed=5))
    assert float(judged(head, bad, [False] * 4).scores.min()) > float(judged(head, good, [False] * 4).scores.max())
    # The same pictures whose half-size pass says that all is well score lower.
    activations = activations_of(bad)
    unseen = head.judge(bad, activations, [False] * 4, activations_of(halved(good))).scores
    assert bool((unseen < judged(head, bad, [False] * 4).scores).all())
    maps = judged(head, bad, [True] * 4).maps
    assert bool((maps[:, 8:16, 28:36].mean(dim=(1, 2)) > maps.mean(dim=(1, 2))).all())


def test_the_map_sums_to_the_logarithms_of_both_sizes(head: MkdHead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is smoothed, and twice: a view's distances and their shares have the same sum."""
    monkeypatch.setattr(head_module, "smooth", lambda maps, **_: maps)
    images = with_spot(pictures(3, seed=6))
    activations = with_half(activations_of(images), activations_of(halved(images)))
    names = (*head.record.taps, *head.record.half_taps)
    found = head.whitening.distances(head.record.views, names, head.scaled(activations), head.cloned(images))
    expected = 2 * torch.stack([one.log1p().mean(dim=(1, 2)) for one in found]).sum(dim=0)
    assert len(found) == 2 * len(DEFAULT_VIEWS)
    torch.testing.assert_close(judged(head, images, [True] * 3).maps.mean(dim=(1, 2)), expected, rtol=1e-4, atol=0)


def test_the_loss_is_the_mean_of_both_sizes() -> None:
    torch.manual_seed(0)
    rms = MadeParts(pictures(4)).rms()
    images = pictures(4)
    both = {**activations_of(images), **{half_of(tap): one for tap, one in activations_of(halved(images)).items()}}
    two = MkdTrainable(MkdConfig(two_sizes=True, lambda_dir=1.0), rms, VGG16).eval()
    one = MkdTrainable(MkdConfig(lambda_dir=1.0), rms, VGG16).eval()
    one.load_state_dict(two.state_dict())
    found = float(two.loss(images, both).detach())
    whole = float(one.loss(images, activations_of(images)).detach())
    half = float(one.loss(halved(images), activations_of(halved(images))).detach())
    assert found == pytest.approx((whole + half) / 2, rel=1e-5)


def test_good_parts_of_both_sizes_are_read_in_one_order(tmp_path: Path) -> None:
    """With the real store, whose further pass is of pictures of another side."""
    backend = Averages()
    images = functional.interpolate(pictures(5), size=(96, 96))
    with ExitStack() as opened:
        taps = ("pool3", "pool5")  # pool5 has one and a half places of a half picture, and is left out of it
        store = opened.enter_context(ActivationStore(5, 96, backend, VGG16, taps, folder=tmp_path))
        store.fill(iter(images.numpy()))
        both = BothSizes.of(StoredParts(store, range(5), torch.device("cpu"), opened)).subset([4, 1, 2])
        seen, activations = both.batch([1, 0])
        assert torch.equal(seen, images[[1, 4]])
        expected = backend.activations(halved(images[[1, 4]]), ("pool3",))["pool3"]
        torch.testing.assert_close(activations["pool3/2"], expected, rtol=2e-3, atol=2e-2)
        order = torch.cat([batch for batch, _ in both.batches(2, seed=3)])
        again = torch.cat([found["pool3/2"] for _, found in both.batches(2, seed=3)])
        expected = backend.activations(halved(order), ("pool3",))["pool3"]
        torch.testing.assert_close(again, expected, rtol=2e-3, atol=2e-2)
        assert both.count == 3
        assert both.image_size == 96
        assert set(activations) == {"pool3", "pool5", "pool3/2"}
