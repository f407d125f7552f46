"""Prepared images in, batches of images and source activations out; the source runs once over the whole set.

The activations lie in memory-mapped half-precision files, divided by each tap's RMS over its own tensors' scale so that
half precision holds them; beyond the limit on disk they are computed anew for each batch instead. They lie, and come
out, channels last, as the cloner computes: tensors of one layout are compared without being copied first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.backends.base import SourceBackend
from models.sources.vgg16 import TAP_CHANNELS, TAP_STRIDES, TAPS

SOURCE_BATCH = 16
DEFAULT_LIMIT_BYTES = 8 * 2**30
Progress = Callable[[int], None]
Number = TypeVar("Number", np.float16, np.float32)


class ActivationError(Exception):
    """The activations cannot be cached, a full disk say."""


def bytes_per_image(size: int) -> int:
    """Disk that one image of that side takes: its pixels in float32 and its activations in float16."""
    neurons = sum(TAP_CHANNELS[tap] * (size // TAP_STRIDES[tap]) ** 2 for tap in TAPS)
    return 3 * size * size * 4 + 2 * neurons


class ActivationStore:
    """A context manager; leaving it removes the files. `squares` are the images' mean squares by tap."""

    def __init__(
        self, count: int, size: int, engine: SourceBackend, *, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES
    ) -> None:
        self.count = count
        self._size = size
        self._engine = engine
        self.cached = count * bytes_per_image(size) <= limit_bytes
        self.squares: dict[str, npt.NDArray[np.float64]] = {tap: np.zeros(count) for tap in TAPS}
        self._folder = folder
        self._path: Path | None = None
        self._images: npt.NDArray[np.float32]
        self._taps: dict[str, npt.NDArray[np.float16]] = {}
        self._stored_scale: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            needed = self.count * (bytes_per_image(self._size) if self.cached else 12 * self._size**2)
            free = shutil.disk_usage(self._folder).free
            if needed > free:
                raise ActivationError(
                    f"the activation cache needs {needed / 2**30:.1f} GiB in {self._folder} and {free / 2**30:.1f} GiB "
                    "are free; give an --out on another disk, a smaller --image-size or --cache-limit-gib (slower)"
                )
            self._path = Path(tempfile.mkdtemp(prefix="activations-", dir=self._folder))
            self._images = self._open("images", np.float32, (self.count, 3, self._size, self._size))
            if self.cached:
                for tap in TAPS:
                    side = self._size // TAP_STRIDES[tap]
                    self._taps[tap] = self._open(tap, np.float16, (self.count, side, side, TAP_CHANNELS[tap]))
        except OSError as error:
            self.close()
            raise ActivationError(f"{self._folder}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the files."""
        self._taps = {}
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    def _open(self, name: str, dtype: type[Number], shape: tuple[int, ...]) -> npt.NDArray[Number]:
        assert self._path is not None
        file = self._path / f"{name}.npy"
        opened: npt.NDArray[Number] = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
        with file.open("r+b") as stream:
            # A sparse file on a disk that fills up later would end the process by SIGBUS instead of an error here.
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
        return opened

    def fill(self, images: Iterator[npt.NDArray[np.float32]], progress: Progress = lambda done: None) -> None:
        """Runs the source over all `count` images and measures the taps' RMS. Reports how many are done."""
        start = 0
        while start < self.count:
            batch = list(islice(images, min(SOURCE_BATCH, self.count - start)))
            if not batch:
                raise ValueError(f"{self.count} images were promised and {start} came")
            stop = start + len(batch)
            self._images[start:stop] = np.stack(batch)
            for tap, tensor in self._engine.activations(torch.from_numpy(np.stack(batch))).items():
                self.squares[tap][start:stop] = tensor.double().square().mean(dim=(1, 2, 3)).cpu().numpy()
                if self.cached:
                    # Loud taps reach several thousands; a fixed scale from the first batch keeps them in range.
                    scale = self._stored_scale.setdefault(tap, max(float(tensor.square().mean().sqrt()), 1e-6))
                    self._taps[tap][start:stop] = (tensor / scale).cpu().permute(0, 2, 3, 1).half().numpy()
            start = stop
            progress(start)

    def rms(self, indices: Sequence[int] | None = None) -> dict[str, float]:
        """Each tap's root mean square over those images, or over all."""
        chosen = slice(None) if indices is None else list(indices)
        return {tap: max(float(squares[chosen].mean()) ** 0.5, 1e-6) for tap, squares in self.squares.items()}

    def batch(self, indices: Sequence[int], device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        """Images (B, 3, S, S) and activations of those indices, float32 and channels last on the device."""
        rows = list(indices)
        images = torch.from_numpy(self._images[rows]).to(device, memory_format=torch.channels_last)
        if not self.cached:
            found = self._engine.activations(images)
            return images, {tap: tensor.to(memory_format=torch.channels_last) for tap, tensor in found.items()}
        taps = {
            tap: torch.from_numpy(stored[rows]).to(device).float().mul_(self._stored_scale[tap]).permute(0, 3, 1, 2)
            for tap, stored in self._taps.items()
        }
        return images, taps

    def batches(
        self, indices: Sequence[int], device: torch.device, size: int = SOURCE_BATCH
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """All of the indices once, in order."""
        for start in range(0, len(indices), size):
            yield self.batch(indices[start : start + size], device)

    def brightness(self, indices: Sequence[int]) -> npt.NDArray[np.float64]:
        """The mean of each of those images."""
        return np.array([self._images[index].mean(dtype=np.float64) for index in indices])
