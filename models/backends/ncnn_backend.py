"""The backend for CPUs by the library ncnn: VGG-16 (Winograd convolutions, float32) from the same checked tensors.

ncnn computes one image at a time, so a batch is spread over extractors, one thread each; a single image gets all
threads. An extractor runs only the layers that the taps asked of it need.
Every artifact's golden images are checked against its stored scores at load, whatever backend runs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.sources.network import SourceNetwork
from models.sources.vgg16 import TAP_LAYERS, VGG16


class NcnnBackend:
    """Runs the source in ncnn with `threads` CPU threads. Raises ImportError where ncnn is not installed."""

    name = "ncnn"

    def __init__(self, source: SourceNetwork, threads: int) -> None:
        import ncnn

        self._ncnn = ncnn
        self._threads = max(1, threads)
        self._spec = source.spec
        self._mean = source.mean.cpu().numpy().reshape(3, 1, 1)
        self._std = source.std.cpu().numpy().reshape(3, 1, 1)
        # ncnn keeps threads per network: one network of one thread for many images, one of all threads for one image.
        self._single = _build(ncnn, source, 1)
        self._whole = self._single if self._threads == 1 else _build(ncnn, source, self._threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="ncnn")

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend; images come from and activations stay in CPU memory."""
        wanted = self._spec.wanted(taps)
        batch = (images.detach().cpu().numpy() - self._mean) / self._std
        if len(batch) == 1:
            rows = [self._run(self._whole, batch[0], wanted)]
        else:
            rows = list(self._pool.map(lambda image: self._run(self._single, image, wanted), batch))
        return {tap: torch.from_numpy(np.stack([row[number] for row in rows])) for number, tap in enumerate(wanted)}

    def _run(
        self, network: object, image: npt.NDArray[np.float32], taps: Sequence[str]
    ) -> list[npt.NDArray[np.float32]]:
        with network.create_extractor() as extractor:  # type: ignore[attr-defined]
            extractor.input("images", self._ncnn.Mat(np.ascontiguousarray(image)))
            found = []
            for tap in taps:
                status, mat = extractor.extract(tap)
                if status != 0:
                    raise RuntimeError(f"ncnn could not compute {tap} (status {status})")
                found.append(np.array(mat))
        return found


def _build(ncnn: object, source: SourceNetwork, threads: int) -> object:
    """A loaded ncnn.Net of the source; its two files live only while they are read."""
    param, weights = network_files({key: value.cpu() for key, value in source.state_dict().items()})
    net = ncnn.Net()  # type: ignore[attr-defined]
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.openmp_blocktime = 0  # OpenMP threads that spin while they wait starve the decoder pool
    with tempfile.TemporaryDirectory(prefix="mkd-ncnn-") as folder:
        (Path(folder) / "source.param").write_text(param)
        (Path(folder) / "source.bin").write_bytes(weights)
        if net.load_param(str(Path(folder) / "source.param")) or net.load_model(str(Path(folder) / "source.bin")):
            raise RuntimeError("ncnn refused the source network")
    return net


def network_files(tensors: Mapping[str, Tensor]) -> tuple[str, bytes]:
    """ncnn's .param text and .bin bytes of VGG-16 with taps (a flag 0 before each raw float32 weight)."""
    lines = ["Input images 0 1 images"]
    weights: list[bytes] = []
    blob, layer, channels, splits = "images", 0, 3, 0
    tap_of_layer = {index: tap for tap, index in TAP_LAYERS.items()}
    last = max(TAP_LAYERS.values())
    for width in VGG16:
        if isinstance(width, str):
            top = tap_of_layer.get(layer, f"b{layer}")
            lines.append(f"Pooling pool_{layer} 1 1 {blob} {top} 0=0 1=2 2=2")
            blob = top
            if layer in tap_of_layer and layer != last:  # a tap feeds two readers; ncnn wants the copy spelled out
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
