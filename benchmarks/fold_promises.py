"""Whether thresholds counted by folds keep what they promise: good pictures of real sets, several draws of each size.

    python -m benchmarks.fold_promises ../shared/data/magnetic_tile ../shared/data/mvtec_screw

From the good pictures of a set some are drawn to fit and calibrate with, others are new, each draw anew. By folds
every drawn picture is judged by a head that was fitted to the other folds, the threshold is counted on all of them, and
new pictures are judged by a head that was fitted to all. Beside it, for the same draws: a fifth held out, a head fitted
to the rest. A draw's promise is kept where no more new pictures lie above the threshold than chance allows at 97.5 %
(trainer.realised). Activations are kept in half precision, and drawn at random without groups. No service is started.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from benchmarks.harness.fitted import CPU
from benchmarks.harness.report import RESULTS, Bar, machine, report
from models.backends.pool import SourcePool, source_key
from models.heads.base import Head, MethodConfig, to_device
from models.heads.registry import config_of, method_of
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.sources.registry import DEFAULT_SOURCE, spec_of
from trainer.activations import ActivationStore
from trainer.advise.trial import stored_scores
from trainer.config import DEFAULT_FOLDS
from trainer.data import good_folder, image_files, prepared_images, split
from trainer.fit_run import TrainingRun
from trainer.good_parts import StoredParts
from trainer.parts_split import parts_in_folds
from trainer.quiet import QuietDisplay
from trainer.realised import caught, realised_rates

METHODS: dict[str, dict[str, object]] = {
    "padim": {"method": "padim"},
    "patchcore": {"method": "patchcore"},
    "spade": {"method": "spade"},
    "mkd without cloner": {"method": "mkd", "cloner": "none", "attribution": "discrepancy"},
}
RATES = (0.01, 0.02, 0.05, 0.1)
HOLD_OUT = 0.2
DEVIATIONS = 3.5  # of the mean over the draws, as some dozens of cells are looked at
Scores = npt.NDArray[np.float32]


class Judged(NamedTuple):
    """Scores of pictures that calibrate, of new good ones, and of defective ones."""

    calibrating: Scores
    new: Scores
    defective: Scores


class StoredPictures(NamedTuple):
    """Good pictures first, then `defective` ones."""

    store: ActivationStore
    good: int

    @property
    def defective(self) -> range:
        return range(self.good, self.store.count)


def main(arguments: Sequence[str] | None = None) -> int:
    """All sets, methods and sizes; 0 where no promise is broken more often than by chance."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, nargs="+", help="folders in the MVTec layout")
    options.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), help="[all]")
    options.add_argument("--sizes", type=int, nargs="+", default=[40, 100], help="pictures drawn [40 100]")
    options.add_argument("--draws", type=int, default=20, help="of each size [20]")
    options.add_argument("--most", type=int, default=320, help="good pictures of each set [320]")
    options.add_argument("--most-defective", type=int, default=120, help="[120]")
    options.add_argument("--folds", type=int, default=DEFAULT_FOLDS, help=f"[{DEFAULT_FOLDS}]")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result [benchmarks/results]")
    given = options.parse_args(arguments)
    results: dict[str, object] = {}
    every: list[dict[str, float]] = []
    for data in given.data:
        for name in given.methods:
            for count, draws in measured(data, config_of(METHODS[name]), given).items():
                title = f"{data.name}, {name}, {count} pictures"
                cell = {"folds": summed([one for one, _ in draws]), "held out": summed([one for _, one in draws])}
                every += cell["folds"].values()
                results[title] = cell
                print(f"{title}: {words(cell)}", flush=True)
    above = sum(one["low"] > one["promised"] for one in every)
    broken = sum(one["broken"] > one["broken_by_chance"] for one in every)
    bars = [
        Bar("cells by folds whose whole interval lies above the promise", above, "<=", 0),
        Bar("cells by folds in which more draws break the promise than chance allows", broken, "<=", 0),
    ]
    given.data = [data.name for data in given.data]  # a result names no path
    return report("fold_promises", given, machine(), results, bars)


def measured(data: Path, config: MethodConfig, given: argparse.Namespace) -> dict[int, list[tuple[Judged, Judged]]]:
    """For each size all draws: by folds, and with a fifth held out."""
    files = np.random.default_rng(0).permutation(np.array(image_files(good_folder(data))))[: given.most].tolist()
    bad = [file for kind in sorted((data / "test").iterdir()) if kind.name != "good" for file in image_files(kind)]
    bad = np.random.default_rng(0).permutation(np.array(bad))[: given.most_defective].tolist()
    pool, views = SourcePool(CPU), PictureViews(Preprocessing(version=2))
    source, spec = pool.require(source_key(DEFAULT_SOURCE, "source", None)), spec_of(DEFAULT_SOURCE)
    with ExitStack() as opened:
        work = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        taps = method_of(config.method).needs(config, spec).taps
        store = opened.enter_context(
            ActivationStore(len(files) + len(bad), views.preprocessing.image_size, source, spec, taps, folder=work)
        )
        store.fill(prepared_images((*files, *bad), views))
        pictures = StoredPictures(store, len(files))
        return {
            count: [drawn(pictures, config, count, seed, given.folds) for seed in range(given.draws)]
            for count in given.sizes
        }


def drawn(pictures: StoredPictures, config: MethodConfig, count: int, seed: int, folds: int) -> tuple[Judged, Judged]:
    """One draw: by folds, and with a fifth held out."""
    order = np.random.default_rng([seed, count]).permutation(pictures.good).tolist()
    chosen, new = order[:count], order[count:]
    calibrating = np.empty(count, np.float32)
    for fold in parts_in_folds(count, folds, seed, None).folds:
        aside = set(fold)
        head = fitted(pictures, config, [one for place, one in enumerate(chosen) if place not in aside], seed)
        calibrating[fold] = stored_scores(head, pictures.store, [chosen[place] for place in fold], CPU)
    of_all = fitted(pictures, config, chosen, seed)
    training, held = split(count, HOLD_OUT, seed)
    of_rest = fitted(pictures, config, [chosen[place] for place in training], seed)

    def judged(head: Head, indices: Sequence[int]) -> Scores:
        return stored_scores(head, pictures.store, indices, CPU)

    return (
        Judged(calibrating, judged(of_all, new), judged(of_all, pictures.defective)),
        Judged(
            judged(of_rest, [chosen[place] for place in held]),
            judged(of_rest, new),
            judged(of_rest, pictures.defective),
        ),
    )


def fitted(pictures: StoredPictures, config: MethodConfig, indices: Sequence[int], seed: int) -> Head:
    """A head of these pictures alone."""
    with ExitStack() as opened:
        parts = StoredParts(pictures.store, indices, CPU, opened)
        run = TrainingRun(CPU, seed, QuietDisplay(), pictures.store.folder, "")
        return to_device(method_of(config.method).fit(config, parts, run), CPU)


def summed(draws: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """For each rate what was promised, the mean share of new pictures above with its interval, how many draws broke the
    promise and how many may by chance, and the mean share of defective pictures above."""
    found = {}
    for rate in RATES:
        each = [realised_rates(one.calibrating, one.new, [rate])[0] for one in draws]
        shares = np.array([one["share"] for one in each])
        half = DEVIATIONS * float(shares.std(ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else 1.0
        found[f"{rate:g}"] = {
            "promised": float(each[0]["rate_promised"]),
            "realised": round(float(shares.mean()), 4),
            "low": round(float(shares.mean()) - half, 4),
            "high": round(float(shares.mean()) + half, 4),
            "broken": sum(not one["kept"] for one in each),
            "broken_by_chance": int(binom(len(each), 0.025).ppf(0.999)),
            "caught": round(float(np.mean([caught(one.calibrating, one.defective, rate) for one in draws])), 4),
        }
    return found


def words(cell: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Promised, realised and caught in percent, by folds / held out."""
    return "; ".join(
        " / ".join(
            f"{way} {100 * of['promised']:.1f} -> {100 * of['realised']:.1f} (broken {of['broken']}) caught "
            f"{100 * of['caught']:.0f}"
            for way, of in ((way, cell[way][rate]) for way in cell)
        )
        for rate in cell["folds"]
    )


if __name__ == "__main__":
    sys.exit(main())
