"""Judges the parts of a bulk run by workers of a Ray cluster (Ray Data) and gives their tables as they are done.

Each worker holds the artifact and reads the images itself, so input and artifact must lie at the same path on every
node. A worker or node that is lost has its parts judged again elsewhere; the rows are those of one machine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from service.bulk.errors import BulkError
from service.bulk.images import Images
from service.bulk.result_rows import table_of
from service.bulk.scorer import Scorer, ScoringSettings
from service.machine.openmp import WAIT_POLICY

Part = tuple[int, int, int]


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and what each worker takes of it; `workers` 0 takes as many as fit."""

    address: str = "auto"
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0


class PartWorker:
    """An artifact on one worker's device; made once, judges one part after the other."""

    def __init__(self, settings: ScoringSettings, images: Images) -> None:
        self._scorer = Scorer(settings)
        self._images = images

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Columns number, start, stop -> the rows of these parts."""
        rows = []
        for part in batch.to_pylist():
            rows += self._scorer.rows(self._images.read(part["start"], part["stop"]))
        return table_of(rows)


def on_a_cluster(
    settings: ScoringSettings, images: Images, wanted: Sequence[Part], cluster: ClusterSettings
) -> Iterator[tuple[int, pa.Table]]:
    """The parts that are wanted, in the order in which they are done. Raises BulkError where there is no cluster."""
    if not wanted:
        return
    _connect(cluster.address)
    yield from _parts(_dataset(settings, images, wanted, cluster), wanted)


def _dataset(settings: ScoringSettings, images: Images, wanted: Sequence[Part], cluster: ClusterSettings) -> Any:
    context = DataContext.get_current()
    context.enable_progress_bars = False  # the command has its own
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    most = min(cluster.workers or _fitting(cluster), len(wanted))
    parts = [dict(zip(("number", "start", "stop"), part, strict=True)) for part in wanted]
    # A block for each part, so that every part is a task of its own: it is saved, or repeated, by itself.
    return ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
        PartWorker,
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, max_size=most),
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus,
        fn_constructor_args=(settings, images),
    )


def _fitting(cluster: ClusterSettings) -> int:
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    counts = [there.get(name, 0.0) // share for name, share in (("CPU", cluster.cpus), ("GPU", cluster.gpus)) if share]
    if not counts or min(counts) < 1:
        raise BulkError(f"no worker with {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs fits this cluster: {there}")
    return int(min(counts))


def _parts(dataset: Any, wanted: Sequence[Part]) -> Iterator[tuple[int, pa.Table]]:
    """Ray may cut and join tables, so rows are counted: a part is done when all of its rows are here."""
    starts = {start: (number, stop - start) for number, start, stop in wanted}
    owner = {row: start for _, start, stop in wanted for row in range(start, stop)}
    here: dict[int, list[pa.Table]] = {}
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        rows = table.column("row").to_pylist()
        begin = 0
        for end in range(1, len(rows) + 1):
            if end < len(rows) and owner[rows[end]] == owner[rows[begin]]:
                continue
            start = owner[rows[begin]]
            here.setdefault(start, []).append(table.slice(begin, end - begin))
            begin = end
            number, count = starts[start]
            if sum(piece.num_rows for piece in here[start]) == count:
                yield number, pa.concat_tables(here.pop(start)).sort_by("row")


def _connect(address: str) -> None:
    """For the rest of the process: Ray Data leaves threads behind that would end it if Ray were shut down before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, logging_level=logging.WARNING, runtime_env={"env_vars": {WAIT_POLICY: "PASSIVE"}})
    except ConnectionError as error:
        raise BulkError(f"no Ray cluster at {address}: start one with `ray start --head` ({error})") from error
