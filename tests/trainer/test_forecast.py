"""Before a fit its time and memory are said, of a trial that leaves no trace; then what it took stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.backends.base import SourceKey
from models.heads.registry import config_of, method_names
from models.imaging.picture_views import PictureViews
from tests.trainer.conftest import AveragingBackend
from trainer.config import Augmentation, TrainingSettings
from trainer.fit_run import Display
from trainer.fitting import Fitting
from trainer.forecast.forecast import Forecast, duration, forecast, in_words, peak_bytes, sum_up
from trainer.forecast.trial import FurtherPass, Trained, Trial, try_fit
from trainer.run import TrainingJob, train
from trainer.training_set import read_training_set

MIB = 2**20
TRIAL = Trial(prepare_s=0.01, source_s=0.1, fit_s=0.5, trainings=[Trained(300, 0.2)], judge_s=0.04, bytes=MIB)


@pytest.fixture
def fitting(
    good_folder_of_bolts: Path, tmp_path: Path, silent_display: Display, averaging_backend: AveragingBackend
) -> Fitting:
    """Of twelve pictures of 32 pixels, a quarter held out, on a stand-in for the source."""
    found = read_training_set(good_folder_of_bolts)
    settings = TrainingSettings(method=config_of({"method": "mkd"}), image_size=32, hold_out=0.25)
    views = PictureViews(settings.preprocessing(found.sixteen_bit_white))
    source = SourceKey("vgg16", "0" * 64, "source", "float32")
    where = (torch.device("cpu"), tmp_path / "work")
    return Fitting(found, settings, views, averaging_backend, source, *where, 2**33, silent_display)


def with_settings(fitting: Fitting, **fields: object) -> Fitting:
    return replace(fitting, settings=fitting.settings.model_copy(update=fields))


def test_the_sum_counts_pictures_steps_and_checks(fitting: Fitting) -> None:
    found = sum_up(fitting, TRIAL)
    assert found.source_s == pytest.approx(12 * 0.11)
    assert found.fit_s == pytest.approx(9 * 0.5 + 300 * 0.2)
    assert found.check_s == pytest.approx((3 + 30) * 0.15)
    assert found.seconds == pytest.approx(found.source_s + found.fit_s + found.check_s)
    assert found.peak_bytes > found.cache_bytes + 9 * MIB


def test_augmented_copies_are_counted_where_they_are_made(fitting: Fitting) -> None:
    varied = with_settings(fitting, augmentation=Augmentation(copies=4, rotation=10))
    found = sum_up(varied, TRIAL)
    assert found.source_s == pytest.approx((9 * 4 + 12) * 0.11)  # all pictures once more, to find near-duplicates
    assert found.fit_s == pytest.approx(36 * 0.5 + 300 * 0.2)
    same = with_settings(varied, augmentation=Augmentation(copies=4, rotation=10, same="both"))
    assert sum_up(same, TRIAL).source_s == pytest.approx((9 * 16 + 12) * 0.11)
    assert sum_up(with_settings(varied, split="random"), TRIAL).source_s == pytest.approx(9 * 4 * 0.11)


def test_folds_cost_further_fits_and_trainings_and_all_pictures_are_judged(fitting: Fitting) -> None:
    found = sum_up(with_settings(fitting, calibrate_by="folds", folds=4), TRIAL)
    assert found.fit_s == pytest.approx(12 * 0.5 + 300 * 0.2)
    assert found.folds_s == pytest.approx(4 * (9 * 0.5 + 300 * 0.2))  # to three of four folds each
    assert found.check_s == pytest.approx((12 + 30) * 0.15)
    assert found.seconds == pytest.approx(found.source_s + found.fit_s + found.folds_s + found.check_s)
    assert "4 further fits by folds 4 min" in found.words("mkd")
    maps = 3 * 12 * 32 * 32 * 4
    more = found.peak_bytes - sum_up(fitting, TRIAL).peak_bytes
    assert more == pytest.approx(maps + 3 * MIB, abs=MIB)


def test_a_cache_that_does_not_fit_costs_a_source_pass_at_every_step(fitting: Fitting) -> None:
    found = sum_up(replace(fitting, cache_limit_bytes=0), TRIAL)
    assert found.fit_s == pytest.approx(9 * 0.5 + 300 * (0.2 + 16 * 0.1))
    assert found.cache_bytes < sum_up(fitting, TRIAL).cache_bytes


def test_further_passes_of_a_fit_have_caches_of_their_own(fitting: Fitting) -> None:
    further = FurtherPass(16, ("pool2", "pool3"))
    pixels, pool2, pool3 = 3 * 16 * 16 * 4, 2 * 128 * 4 * 4, 2 * 256 * 2 * 2
    more = sum_up(fitting, TRIAL._replace(further=[further])).cache_bytes - sum_up(fitting, TRIAL).cache_bytes
    assert more == 9 * (pixels + pool2 + pool3)


@pytest.mark.parametrize(
    ("method", "sizes"), [({"two_sizes": True}, [16]), ({"method": "fyd", "align_image": True}, [32]), ({}, [])]
)
def test_a_trial_sees_the_further_passes_of_its_method(
    fitting: Fitting, method: dict[str, object], sizes: list[int]
) -> None:
    trial = try_fit(with_settings(fitting, method=config_of(method)))
    assert [one.size for one in trial.further] == sizes


def test_changes_that_the_promise_is_to_hold_under_cost_a_pass_each(fitting: Fitting) -> None:
    found = sum_up(with_settings(fitting, calibrate_under=("light", "shift")), TRIAL)
    assert found.check_s == pytest.approx((3 * 3 + 30) * 0.15)


@pytest.mark.parametrize("name", method_names())
def test_every_method_can_be_tried_and_leaves_nothing_behind(name: str, fitting: Fitting, said: list[str]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    found = forecast(with_settings(fitting, method=config_of({"method": name})))
    assert torch.equal(torch.rand(4), expected)  # whoever draws next draws what he would have drawn
    assert found is not None
    assert found.seconds > 0
    assert said[-1].startswith("forecast: about ")
    assert not [file for file in fitting.work.rglob("*") if file.is_file()]


def test_a_method_that_refuses_so_few_pictures_has_no_forecast(
    fitting: Fitting, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise ValueError("far too few")

    monkeypatch.setattr("trainer.forecast.forecast.try_fit", refuses)
    assert forecast(fitting) is None
    assert said == ["no forecast: mkd cannot be tried on 16 pictures (far too few)"]


def test_a_fit_with_a_forecast_is_the_same_fit_and_says_what_it_took(
    good_folder_of_bolts: Path,
    tmp_path: Path,
    silent_display: Display,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    source_weights: Mapping[str, torch.Tensor],
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    method = config_of({"method": "mkd", "steps": 2, "batch_size": 4})
    settings = TrainingSettings(method=method, image_size=32, hold_out=0.4)
    job = TrainingJob(good_folder_of_bolts, "bolt", tmp_path / "a", settings, backend="torch", threads=1)
    without = train(job, silent_display)
    said.clear()
    with_it = train(replace(job, out=tmp_path / "b", forecast=forecast), silent_display)
    assert with_it.sha256 == without.sha256
    order = [line.split(" ")[0] for line in said]
    assert order.index("forecast:") < order.index("took")
    assert "(forecast " in said[order.index("took")]
    assert said[0] == "12 images of good parts, 40 x 40 pixels"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.44, "0.4 s"), (12.4, "12 s"), (99, "99 s"), (130, "2 min"), (7000, "1 h 57 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_are_said_in_the_unit_that_fits() -> None:
    assert (in_words(300 * MIB), in_words(1536 * MIB)) == ("300 MiB", "1.5 GiB")


def test_what_it_took_stands_beside_the_forecast() -> None:
    found = Forecast(source_s=10, fit_s=50, check_s=10, peak_bytes=1536 * MIB, cache_bytes=MIB)
    words = found.compared(95)
    assert words.startswith("took 95 s (forecast 70 s), ")
    assert words.endswith("(forecast 1.5 GiB)")
    assert peak_bytes() > 20 * MIB
