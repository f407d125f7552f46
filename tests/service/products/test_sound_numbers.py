"""No artifact serves whose numbers cannot be: a fuzzer over manifests, and the numbers that were thought of."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.artifact import Artifact, ArtifactError, Manifest
from service.products.soundness import check_numbers

if TYPE_CHECKING:
    pass


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from tests.service.products import conftest

    root: Path = tmp_path_factory.mktemp("sound")
    return conftest.write(root / "screw", product="screw", version="1", seed=0)


def changed(artifact: Artifact, **calibration: Any) -> Artifact:
    """With other numbers; as written by somebody who knows how to hash."""
    found = artifact.manifest.model_dump()
    found["calibration"].update(calibration)
    return replace(artifact, manifest=Manifest.model_validate(found))


SCALE = {"low": 0.0, "high": 1.0, "threshold": 0.5, "rate_promised": 0.05}


def test_what_the_trainer_writes_is_sound(artifact: Artifact) -> None:
    check_numbers(artifact)


@pytest.mark.parametrize(
    "wrong",
    [
        {"map_scale": {**SCALE, "high": math.inf}},
        {"map_scale": {**SCALE, "threshold": math.nan}},
        {"map_scale": {**SCALE, "low": 2.0}},
        {"map_peaks": (0.5, math.inf)},
        {"scores": (1.0, 1.0, 1.0, 1.0)},
        {"scores": (1e40, 2e40, 3e40, 4e40)},  # no float32 ever gets there
        {"scores": (0.0, 1e-310, 2e-310, 3e-310)},
        {"scores": (*np.linspace(1, 2, 20).tolist(), 1e300)},
        {"scores": tuple((1e12 + np.arange(20)).tolist())},
    ],
)
def test_numbers_that_cannot_be_are_refused(artifact: Artifact, wrong: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        check_numbers(changed(artifact, **wrong))


ANY = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.lists(ANY | st.floats(0, 10), min_size=4, max_size=40).map(lambda found: tuple(sorted(found))),
    scale=st.tuples(ANY, ANY, ANY),
    rates=st.tuples(st.floats(0.001, 0.9), st.floats(0.001, 0.9)),
)
def test_no_served_artifact_decides_the_same_on_everything(
    artifact: Artifact, scores: tuple[float, ...], scale: tuple[float, float, float], rates: tuple[float, float]
) -> None:
    low, threshold, high = scale
    try:
        found = changed(
            artifact,
            scores=scores,
            map_scale={**SCALE, "low": low, "threshold": threshold, "high": high},
            ng_rate=min(rates),
            review_rate=max(rates),
        )
        check_numbers(found)
    except (ArtifactError, ValidationError):
        return
    thresholds = found.calibration.thresholds()
    spread = scores[-1] - scores[0]
    assert thresholds.decide(scores[0]) != "NG"
    assert thresholds.decide(scores[-1] + spread + 1e-300) == "NG"
    half = np.quantile(scores, 0.75) - np.quantile(scores, 0.25)
    assert thresholds.ng.value <= scores[0] + 60 * half  # what golden scores can see, and not some wild number
    assert low < high
