"""SimpleNet learns good patches from noise, goes on from a checkpoint, and is one hidden layer in the end."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.heads.base import Head
from models.heads.parts.by_picture import ByPicture
from models.heads.parts.patches import patch_features
from models.heads.registry import config_of, method_of
from models.heads.simplenet.config import SimplenetConfig, SimplenetRecord
from models.heads.simplenet.network import AdaptedDiscriminator, output_of
from models.heads.simplenet.noise import usual_noise
from models.heads.simplenet.training import SimplenetTrainable
from tests.models.heads.conftest import SIZE, MadeParts, activations_of, pictures, with_spot
from trainer.fit_run import TrainingRun
from trainer.loop import GradientLoop, Progress

TAPS = ("pool2", "pool3")
SMALL: dict[str, object] = {"method": "simplenet", "taps": TAPS, "hidden": 16, "patches": 128, "batch_size": 4}
RATES: dict[str, object] = {"learning_rate": 0.01, "adaptor_rate": 0.001, "average_decay": 0.9}
FAST: dict[str, object] = {**SMALL, **RATES, "steps": 30, "whiten": True}
CASES = (FAST, {**FAST, "whiten": False, "noise": 0.2})


class Silent:
    """A display that shows nothing."""

    def say(self, text: str) -> None:
        """One line."""

    def bar(self, title: str, total: int) -> nullcontext[Silent]:
        """No bar."""
        return nullcontext(self)

    def update(self, done: int, note: str = "") -> None:
        """Nothing."""


def fitted(case: dict[str, object], work: Path, seed: int = 0) -> tuple[Head, dict[str, object]]:
    run = TrainingRun(torch.device("cpu"), seed, Silent(), work, "data")
    return method_of("simplenet").fit(config_of(case), MadeParts(pictures(16)), run), run.notes


def trainable(parts: MadeParts, noise: float = 0.3, **fields: object) -> SimplenetTrainable:
    config = SimplenetConfig.model_validate({**SMALL, "whiten": False, **fields})
    rms = parts.rms()
    scales = tuple(rms[tap] for tap in TAPS)
    record = SimplenetRecord(taps=TAPS, tap_scales=scales, grid_tap="pool2", noise=noise)
    network = AdaptedDiscriminator(384, config.hidden, torch.Generator().manual_seed(0))
    return SimplenetTrainable(config, record, network, seed=5)


def test_a_spot_scores_above_every_good_part_and_lights_the_map_where_it_is(tmp_path: Path) -> None:
    head, notes = fitted(FAST, tmp_path)
    assert float(str(notes["loss_last_100_mean"])) < float(str(notes["loss_first"]))
    good, bad = pictures(8, seed=1), with_spot(pictures(8, seed=2))
    quiet = head.judge(good, activations_of(good), [False] * 8)
    found = head.judge(bad, activations_of(bad), [True] * 8)
    assert quiet.maps.shape == (0, SIZE, SIZE)
    assert quiet.scores.min() > 0
    assert found.scores.min() > quiet.scores.max()
    for one in found.maps:
        y, x = divmod(int(one.argmax()), SIZE)
        assert (2 <= y < 26, 16 <= x < 48) == (True, True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_batch_equals_singles_and_a_loaded_head_the_fitted_one(case: dict[str, object], tmp_path: Path) -> None:
    head, notes = fitted({**case, "steps": 10}, tmp_path)
    images = torch.cat((pictures(5, seed=1), with_spot(pictures(2, seed=2))))
    wants = [True, False, True, True, False, True, False]
    together = head.judge(images, activations_of(images), wants)
    singles = [
        head.judge(one[None], activations_of(one[None]), [want]) for one, want in zip(images, wants, strict=True)
    ]
    torch.testing.assert_close(together.scores, torch.cat([one.scores for one in singles]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.maps, torch.cat([one.maps for one in singles]), rtol=1e-4, atol=1e-5)
    record = head.record.model_dump(mode="json")
    assert record["noise"] == notes["noise"]
    again = method_of("simplenet").load(record, head.tensors())
    assert again.needs == head.needs
    assert torch.equal(again.judge(images, activations_of(images), wants).scores, together.scores)


def test_tensors_that_are_missing_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    head, _ = fitted({**SMALL, "steps": 2}, tmp_path)
    record, tensors = head.record.model_dump(mode="json"), head.tensors()
    load = method_of("simplenet").load
    with pytest.raises(ValueError, match="and nothing else"):
        load(record, {"weight": tensors["weight"], "bias": tensors["bias"]})
    with pytest.raises(ValueError, match="do not fit the weight"):
        load(record, {**tensors, "tail": tensors["tail"][:-1]})
    with pytest.raises(ValueError, match="scales do not fit"):
        load({**record, "tap_scales": [1.0]}, tensors)


@torch.no_grad()
def test_the_loss_is_the_hinge_on_both_sides_of_the_margin() -> None:
    parts = MadeParts(pictures(4))
    subject = trainable(parts, noise=0.3, patches=10_000)
    images, activations = parts.batch(range(4))
    first, second = (subject.loss(images, activations) for _ in range(2))
    found = patch_features(activations, TAPS, "pool2", subject.record.tap_scales).flatten(0, 2)
    generator = torch.Generator().manual_seed(5)
    features = found[torch.randperm(len(found), generator=generator)]
    adapted = subject.network.adaptor(features)
    noisy = adapted + 0.3 * torch.randn(adapted.shape, generator=generator)
    good, bad = subject.network.discriminate(torch.cat((adapted, noisy))).chunk(2)
    wanted = (0.5 - good).clamp_min(0).mean() + (0.5 + bad).clamp_min(0).mean()
    assert float(first) == pytest.approx(float(wanted), rel=1e-5)
    assert float(second) != pytest.approx(float(wanted), rel=1e-5)  # other noise at each step


def test_the_adaptor_decays_as_adamw_and_the_discriminator_as_adam() -> None:
    subject = trainable(MadeParts(pictures(4)), learning_rate=2e-4, adaptor_rate=1e-4)
    together = subject.optimiser(subject.config)
    twin = trainable(MadeParts(pictures(4)))
    network = twin.network
    rest = [*network.first.parameters(), *network.norm.parameters(), *network.tail.parameters()]
    apart = (
        torch.optim.AdamW(network.adaptor.parameters(), lr=1e-4),
        torch.optim.Adam(rest, lr=2e-4, weight_decay=1e-5),
    )
    batch = MadeParts(pictures(4)).batch(range(4))
    for _ in range(2):
        for model, optimisers in ((subject, (together,)), (twin, apart)):
            for optimiser in optimisers:
                optimiser.zero_grad()
            model.loss(*batch).backward()  # type: ignore[no-untyped-call]
            for optimiser in optimisers:
                optimiser.step()
    for one, other in zip(subject.network.parameters(), twin.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_the_folded_network_answers_as_the_whole_one() -> None:
    generator = torch.Generator().manual_seed(1)
    network = AdaptedDiscriminator(12, 7, generator)
    features = torch.randn(200, 12, generator=generator)
    mean, matrix = torch.randn(12, generator=generator), torch.randn(12, 12, generator=generator)
    with torch.no_grad():
        for parameter in (network.adaptor.bias, network.first.bias, network.norm.weight, network.norm.bias):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        network.train().discriminate(network.adaptor((features - mean) @ matrix))  # statistics that are not 0 and 1
        network.eval()
        whole = network.discriminate(network.adaptor((features - mean) @ matrix))
        plain = network.discriminate(network.adaptor(features))
    torch.testing.assert_close(output_of(features, *network.folded(mean, matrix)), whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output_of(features, *network.folded()), plain, rtol=1e-4, atol=1e-4)


def test_the_noise_follows_the_scale_of_the_features() -> None:
    features, pictures = torch.randn(20, 30, 16, generator=torch.Generator().manual_seed(0)), ByPicture(range(20))
    plain = usual_noise(features, pictures, torch.Generator().manual_seed(1))
    loud = usual_noise(10 * features, pictures, torch.Generator().manual_seed(1))
    assert loud == pytest.approx(10 * plain, rel=1e-4)
    assert usual_noise(torch.ones(4, 3, 8), ByPicture(range(4)), torch.Generator().manual_seed(1)) > 0


def test_the_noise_is_not_read_off_copies_of_the_same_picture() -> None:
    features = torch.randn(20, 30, 16, generator=torch.Generator().manual_seed(0))
    twice = features.repeat_interleave(2, dim=0)
    numbers = torch.arange(20).repeat_interleave(2).tolist()
    by_picture = usual_noise(twice, ByPicture(numbers), torch.Generator().manual_seed(1))
    by_image = usual_noise(twice, ByPicture(range(40)), torch.Generator().manual_seed(1))
    assert by_image == pytest.approx(0.001)  # the nearest other patch is the same one
    assert by_picture == pytest.approx(usual_noise(features, ByPicture(range(20)), torch.Generator()), rel=0.1)


def test_the_same_seed_gives_the_same_head_and_another_one_another(tmp_path: Path) -> None:
    case = {**SMALL, "steps": 2}
    heads = [fitted(case, tmp_path / str(number), seed)[0].tensors() for number, seed in enumerate((0, 0, 1))]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert not torch.equal(heads[0]["tail"], heads[2]["tail"])


def test_an_interrupted_training_ends_where_it_would_have_ended(tmp_path: Path) -> None:
    parts = MadeParts(pictures(12))

    def loop(name: str) -> GradientLoop:
        subject = trainable(parts)
        settings = subject.config.model_copy(update={"steps": 6})
        return GradientLoop(subject, parts, settings, seed=0, checkpoint=tmp_path / name, fingerprint="same")

    def interrupt(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    whole, first, second = loop("whole"), loop("other"), loop("other")
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt)
    assert second.resume()
    second.run()
    wanted: dict[str, Tensor] = whole.trainable.state_dict()
    found = second.trainable.state_dict()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert whole.losses == second.losses


def test_settings_of_judging_and_of_training_are_told_apart_by_the_fingerprint() -> None:
    parts = MadeParts(pictures(4))
    assert trainable(parts).fingerprint != trainable(parts, noise=0.5).fingerprint
    assert trainable(parts).fingerprint != trainable(parts, hidden=8).fingerprint
    assert trainable(parts).fingerprint == trainable(parts).fingerprint


def test_noise_is_read_off_the_parts_unless_it_is_given(tmp_path: Path) -> None:
    _, notes = fitted({**SMALL, "steps": 1}, tmp_path / "auto")
    assert 0 < float(str(notes["noise"])) < 10
    assert fitted({**SMALL, "steps": 1, "noise": 0.25}, tmp_path / "given")[1]["noise"] == 0.25
