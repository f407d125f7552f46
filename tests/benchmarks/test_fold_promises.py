"""The study of folds draws, fits and counts as it says."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import fold_promises
from benchmarks.fold_promises import Judged, StoredPictures, drawn, summed
from models.heads.registry import config_of


def test_no_picture_of_a_draw_is_judged_by_a_head_that_has_seen_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[set[int]] = []

    def fitted(pictures: object, config: object, indices: Sequence[int], seed: int) -> set[int]:
        fits.append(set(indices))
        return fits[-1]

    def scores(head: set[int], store: object, indices: Sequence[int], device: object) -> npt.NDArray[np.float32]:
        assert not head & set(indices)
        return np.array(indices, np.float32)

    monkeypatch.setattr(fold_promises, "fitted", fitted)
    monkeypatch.setattr(fold_promises, "stored_scores", scores)
    store: Any = SimpleNamespace(count=35)
    folds, held_out = drawn(StoredPictures(store, 30), config_of({"method": "padim"}), 20, seed=3, folds=4)
    *of_folds, of_all, of_rest = fits
    assert [len(one) for one in of_folds] == [15, 15, 15, 15]
    assert (len(of_all), len(of_rest)) == (20, 16)
    assert set(folds.calibrating.astype(int)) == of_all
    assert set(held_out.calibrating.astype(int)) == of_all - of_rest
    for judged in (folds, held_out):
        assert set(judged.new.astype(int)) == set(range(30)) - of_all
        assert judged.defective.tolist() == [30, 31, 32, 33, 34]


def test_shares_and_broken_promises_are_counted_over_the_draws() -> None:
    calibrating = np.arange(1, 20, dtype=np.float32)
    quiet = Judged(calibrating, np.zeros(50, np.float32), np.array([18.5, 30], np.float32))
    loud = Judged(calibrating, np.full(50, 40, np.float32), np.array([40, 41], np.float32))
    found = summed([quiet, quiet, loud])["0.05"]
    assert found["promised"] == pytest.approx(0.05)
    assert found["realised"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["broken"] == 1
    assert found["caught"] == pytest.approx((0.5 + 0.5 + 1) / 3, abs=1e-4)
    assert found["low"] < found["realised"] < found["high"]
