"""The backend for CPUs by the library ncnn: VGG-16 (Winograd convolutions, float32) from the same checked tensors.

ncnn computes one image at a time, so a batch is spread over extractors, one thread each; a single image gets all
threads. An extractor runs only the layers that the taps asked of it need. A network of ncnn is laid out for a number of
threads. Where its OpenMP can be told to stay on the calling thread, one network does both; else there are two.
Every artifact's golden images are checked against its stored scores at load, whatever backend runs them.
"""

from __future__ import annotations

import ctypes
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.sources.network import SourceNetwork
from models.sources.vgg16 import TAP_LAYERS, VGG16


class NcnnBackend:
    """Runs the source in ncnn with `threads` CPU threads. Raises ImportError where ncnn is not installed.

    ncnn has weights of its own, so the source is let go once a network is built (VGG-16: 56 MiB). `reload` gives it
    again where a further network is needed, for a deeper tap; without it the source is kept.
    """

    name = "ncnn"

    def __init__(self, source: SourceNetwork, threads: int, reload: Callable[[], SourceNetwork] | None = None) -> None:
        import ncnn

        self._ncnn = ncnn
        self._spec = source.spec
        self._source: SourceNetwork | None = source
        self._reload = reload
        self._count = max(1, threads)
        self._mean = source.mean.cpu().numpy().reshape(3, 1, 1)
        self._std = source.std.cpu().numpy().reshape(3, 1, 1)
        # Transformed weights take most of the memory, so a network ends at the deepest tap that has been wanted.
        self._networks: dict[tuple[str, int], object] = {}
        # In place of those of each thread, which never give back. Behind the networks, which must end first.
        self._memory = (ncnn.PoolAllocator(), ncnn.PoolAllocator())
        self._limit_levels = levels_of_openmp() if self._count > 1 else None
        self._running = threading.Lock()  # what OpenMP is told holds for all threads
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="ncnn")

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend; images come from and activations stay in CPU memory."""
        wanted = self._spec.wanted(taps)
        if not wanted:
            return {}
        # In C order: ncnn.Mat reads the array's memory and does not keep it alive, so it must not be given a copy.
        batch = np.ascontiguousarray((images.detach().cpu().numpy() - self._mean) / self._std)
        with self._running:
            rows = self._rows(batch, wanted)
        return {tap: torch.from_numpy(np.stack([row[number] for row in rows])) for number, tap in enumerate(wanted)}

    def give_back(self) -> None:
        """Return to the C library what passes have used and keep for the next ones; 80 MiB after batches at 128 px."""
        with self._running:
            for memory in self._memory:
                memory.clear()

    def _rows(self, batch: npt.NDArray[np.float32], wanted: Sequence[str]) -> list[list[npt.NDArray[np.float32]]]:
        one = len(batch) == 1
        if self._limit_levels is not None:
            self._limit_levels(1 if one else 0)
        network = self._network(wanted[-1], self._count if one or self._limit_levels is not None else 1)
        if one:
            return [self._run(network, batch[0], wanted)]
        return list(self._pool.map(lambda image: self._run(network, image, wanted), batch))

    def _network(self, deepest: str, threads: int) -> object:
        if (deepest, threads) not in self._networks:
            self._networks[deepest, threads] = self._built(deepest, threads)
        return self._networks[deepest, threads]

    def _built(self, deepest: str, threads: int) -> object:
        if self._source is None:
            assert self._reload is not None
            self._source = self._reload()
        network = _build(self._ncnn, self._source, deepest, threads, self._memory)
        if self._reload is not None:
            self._source = None
        return network

    def _run(
        self, network: object, image: npt.NDArray[np.float32], taps: Sequence[str]
    ) -> list[npt.NDArray[np.float32]]:
        with network.create_extractor() as extractor:  # type: ignore[attr-defined]
            extractor.input("images", self._ncnn.Mat(image))
            found = []
            for tap in taps:
                status, mat = extractor.extract(tap)
                if status != 0:
                    raise RuntimeError(f"ncnn could not compute {tap} (status {status})")
                found.append(np.array(mat))
        return found


@lru_cache(maxsize=1)
def levels_of_openmp() -> Callable[[int], object] | None:
    """The call that says how many levels of OpenMP's parallel regions have threads, of ncnn's own copy of it.

    With 0 every region runs on the thread that enters it. None where ncnn has no copy for itself: what it shares with
    other libraries must not be told.
    """
    try:
        libraries = [file for file in metadata.files("ncnn") or () if file.name.startswith("libgomp")]
        call: Callable[[int], object] = ctypes.CDLL(str(libraries[0].locate())).omp_set_max_active_levels
    except (metadata.PackageNotFoundError, IndexError, OSError, AttributeError):
        return None
    return call


def _build(ncnn: object, source: SourceNetwork, deepest: str, threads: int, memory: tuple[object, object]) -> object:
    """A loaded ncnn.Net of the source; its two files live only while they are read.

    `memory` is what passes take and keep memory from: for layers' outputs, and within a layer.
    """
    param, weights = network_files({key: value.cpu() for key, value in source.state_dict().items()}, deepest)
    net = ncnn.Net()  # type: ignore[attr-defined]
    net.opt.num_threads = threads
    net.opt.blob_allocator, net.opt.workspace_allocator = memory
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.openmp_blocktime = 0  # OpenMP threads that spin while they wait starve the decoder pool
    with tempfile.TemporaryDirectory(prefix="mkd-ncnn-") as folder:
        (Path(folder) / "source.param").write_text(param)
        (Path(folder) / "source.bin").write_bytes(weights)
        if net.load_param(str(Path(folder) / "source.param")) or net.load_model(str(Path(folder) / "source.bin")):
            raise RuntimeError("ncnn refused the source network")
    return net


def network_files(tensors: Mapping[str, Tensor], deepest: str) -> tuple[str, bytes]:
    """ncnn's .param text and .bin bytes of VGG-16 up to that tap (a flag 0 before each raw float32 weight)."""
    lines = ["Input images 0 1 images"]
    weights: list[bytes] = []
    blob, layer, channels, splits = "images", 0, 3, 0
    tap_of_layer = {index: tap for tap, index in TAP_LAYERS.items()}
    last = TAP_LAYERS[deepest]
    for width in VGG16:
        if isinstance(width, str):
            top = tap_of_layer.get(layer, f"b{layer}")
            lines.append(f"Pooling pool_{layer} 1 1 {blob} {top} 0=0 1=2 2=2")
            blob = top
            if layer == last:
                break
            if layer in tap_of_layer:  # a tap feeds two readers; ncnn wants the copy spelled out
                lines[-1] = lines[-1].replace(f" {top} 0=0", f" {top}_raw 0=0")
                lines.append(f"Split split_{layer} 1 2 {top}_raw {top} {top}_next")
                blob, splits = f"{top}_next", splits + 1
            layer += 1
            continue
        weight, bias = tensors[f"features.{layer}.weight"], tensors[f"features.{layer}.bias"]
        # 0 outputs, 1 kernel, 3 stride, 4 pad, 5 bias, 6 weights, 9 activation (1 = ReLU)
        lines.append(
            f"Convolution conv_{layer} 1 1 {blob} b{layer} 0={width} 1=3 3=1 4=1 5=1 6={width * channels * 9} 9=1"
        )
        weights += [b"\0\0\0\0", _raw(weight), _raw(bias)]
        blob, channels, layer = f"b{layer}", width, layer + 2
    blobs = len(lines) + splits
    return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n", b"".join(weights)


def _raw(tensor: Tensor) -> bytes:
    return np.ascontiguousarray(tensor.numpy(), dtype="<f4").tobytes()
