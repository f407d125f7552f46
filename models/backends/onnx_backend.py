"""The backend for CPUs by ONNX Runtime: any source in float32, some in int8; the fastest for depthwise networks.

Many images: each thread takes a few of them through all layers on its own core. Fewer images than threads: all threads
on all of them. One image and two threads: as has been faster lately, both on each layer, or halves of the image's rows
on a core each through the first layers (models.backends.row_halves), or one thread (int8).

ONNX Runtime computes every output of a graph, whichever are asked for. So the graph of a session ends at the deepest
tap that is wanted; sessions are made when a batch first needs them.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.backends.fastest_way import FastestWay
from models.backends.kept import Kept
from models.backends.row_halves import RowHalves, row_halves
from models.backends.single_threads import groups_of
from models.sources.network import SourceNetwork
from models.sources.registry import Precision

# Pixels that a thread takes at once, measured: two images of 224 pixels. More leave the core's cache.
GROUP_PIXELS = 2 * 224 * 224
TWO_THREADS = 2  # with more of them halves of an image would leave some idle
IMAGES = "images"
# Of what models.backends.int8_graph and int8_plain_graph write. A higher number for each change: artifacts of the
# editions before are then refused by their golden scores, and graphs kept on the disk are not taken for the new ones.
INT8_EDITION = 1
Array = npt.NDArray[np.float32]
Arrays = list[Array]


class OnnxBackend:
    """Runs the source on `threads` CPU threads. See SourceBackend. Raises ImportError where ONNX Runtime is missing.

    The graphs are kept in `kept`, if it is given; to make one takes the package onnx. `precision` is float32 or int8.
    """

    name = "onnxruntime"

    def __init__(
        self, source: SourceNetwork, threads: int, kept: Kept | None = None, precision: Precision = "float32"
    ) -> None:
        import onnxruntime

        self._runtime = onnxruntime
        self._source = source
        self._kept = kept
        self._int8 = precision == "int8"
        self._count = max(1, threads)
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="mkd-source")
        self._sessions: dict[tuple[str | None, str, int], object] = {}  # by the tap before, deepest tap, threads
        self._making = threading.Lock()
        self._ways = lru_cache(maxsize=64)(self._ways_of)  # by taps and size of image

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend; images come from and activations stay in CPU memory."""
        wanted = self._source.spec.wanted(taps)
        if not wanted:
            return {}
        batch = np.ascontiguousarray(images.detach().cpu().numpy(), np.float32)
        count, size = len(batch), batch.shape[-1]
        if count < self._count:
            return _tensors(wanted, [self._alone(batch, wanted)])
        session = self._session(wanted[-1], 1)
        groups = groups_of(count, self._count, max(1, GROUP_PIXELS // size**2))
        return _tensors(wanted, list(self._pool.map(lambda group: _run(session, batch[group], wanted), groups)))

    def _alone(self, batch: Array, wanted: tuple[str, ...]) -> Arrays:
        if len(batch) == 1 and self._count == TWO_THREADS:
            return self._ways(wanted, batch.shape[-1])(batch)
        return self._at_once(wanted, self._count, batch)

    def _ways_of(self, wanted: tuple[str, ...], size: int) -> FastestWay[[Array], Arrays]:
        """How two threads can take one image, with all sessions that they need: none is made in traffic."""
        halves = None if self._int8 else row_halves(self._source, wanted[-1], size)
        needed: list[tuple[str, int, str | None]] = [(wanted[-1], self._count, None), (wanted[-1], 1, None)]
        if halves is not None:
            behind = None if halves.tap == wanted[-1] else halves.tap
            needed[1:] = [(halves.tap, 1, None), (wanted[-1], 1, behind)]
        for one in needed:
            self._session(*one)
        first = partial(self._at_once, wanted, 1) if halves is None else partial(self._by_halves, wanted, halves)
        return FastestWay([first, partial(self._at_once, wanted, self._count)])

    def _at_once(self, wanted: Sequence[str], threads: int, batch: Array) -> Arrays:
        return _run(self._session(wanted[-1], threads), batch, wanted)

    def _by_halves(self, wanted: Sequence[str], halves: RowHalves, batch: Array) -> Arrays:
        early = [tap for tap in wanted if self._source.tap_layers[tap] < self._source.tap_layers[halves.tap]]
        first = self._in_halves(batch, halves, [*early, halves.tap])
        found = dict(zip((*early, halves.tap), first, strict=True))
        late = [tap for tap in wanted if tap not in found]
        if late:
            last = _run(self._session(wanted[-1], 1, halves.tap), first[-1], late)
            found |= zip(late, last, strict=True)
        return [found[tap] for tap in wanted]

    def _in_halves(self, batch: Array, halves: RowHalves, taps: Sequence[str]) -> Arrays:
        """Those taps of the first layers."""
        session = self._session(halves.tap, 1)
        strides = [self._source.spec.taps[tap].stride for tap in taps]

        def half(number: int) -> Arrays:
            found = _run(session, np.ascontiguousarray(batch[:, :, halves.rows[number]]), taps)
            return [one[:, :, halves.own(stride)[number]] for one, stride in zip(found, strides, strict=True)]

        lower = self._pool.submit(half, 1)
        return [np.concatenate(pair, axis=2) for pair in zip(half(0), lower.result(), strict=True)]

    def _session(self, deepest: str, threads: int, behind: str | None = None) -> object:
        key = (behind, deepest, threads)
        with self._making:
            if key not in self._sessions:
                self._sessions[key] = self._made(deepest, threads, behind)
            return self._sessions[key]

    def _made(self, deepest: str, threads: int, behind: str | None) -> object:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would starve the decoder pool
        part = deepest if behind is None else f"{behind}-{deepest}"
        name = f"{part}-int8-{INT8_EDITION}.onnx" if self._int8 else f"{part}.onnx"
        make = partial(self._graph, deepest, behind)
        graph = self._kept.data(name, make) if self._kept else make()
        return self._runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def _graph(self, deepest: str, behind: str | None) -> bytes:
        if self._int8 and self._source.spec.ranges:
            from models.backends.int8_plain_graph import int8_plain_graph

            return int8_plain_graph(self._source, deepest)
        if self._int8:
            from models.backends.int8_graph import int8_graph

            return int8_graph(self._source, deepest)
        from models.backends.onnx_graph import onnx_graph  # a service that finds the graph kept does not need onnx

        return onnx_graph(self._source, deepest, behind)


def _run(session: object, batch: Array, taps: Sequence[str]) -> Arrays:
    found: Arrays = session.run(list(taps), {IMAGES: batch})  # type: ignore[attr-defined]
    return found


def _tensors(taps: Sequence[str], parts: list[Arrays]) -> dict[str, Tensor]:
    """The taps' arrays of all parts of a batch, in order, as one tensor each."""
    return {
        tap: torch.from_numpy(parts[0][number] if len(parts) == 1 else np.concatenate([part[number] for part in parts]))
        for number, tap in enumerate(taps)
    }
