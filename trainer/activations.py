"""Runs the source once over a set of prepared images and keeps the activations, for any method to read again and again.

They lie in memory-mapped half-precision files, divided by one number per tap so that half precision holds them; beyond
the limit on disk they are computed anew for each batch instead. They lie, and come out, channels last, as networks
compute on a CPU: tensors of one layout are compared without being copied first.
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
from models.heads.base import ActivationBatch
from models.sources.registry import SourceSpec
from trainer.data_checks.pooled import PooledMeans

SOURCE_BATCH = 16
DEFAULT_LIMIT_BYTES = 8 * 2**30
SMALLEST_SCALE = 1e-6
Progress = Callable[[int], None]
Number = TypeVar("Number", np.float16, np.float32)


class ActivationError(Exception):
    """The activations cannot be cached, a full disk say."""


def bytes_per_image(size: int, source: SourceSpec, taps: Sequence[str]) -> int:
    """Disk that one image of that side takes: its pixels in float32 and those taps in float16."""
    neurons = sum(source.taps[tap].channels * (size // source.taps[tap].stride) ** 2 for tap in taps)
    return 3 * size * size * 4 + 2 * neurons


def store_bytes(count: int, size: int, source: SourceSpec, taps: Sequence[str], limit_bytes: int) -> int:
    """Disk of a store of so many images: without activations where they would not stay within the limit."""
    whole = count * bytes_per_image(size, source, taps)
    return whole if whole <= limit_bytes else count * 12 * size**2


class ActivationStore:
    """A context manager; leaving it removes the files. `squares` are the images' mean squares by tap."""

    def __init__(
        self,
        count: int,
        size: int,
        backend: SourceBackend,
        source: SourceSpec,
        taps: Sequence[str],
        *,
        folder: Path,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        self.count = count
        self.size = size
        self.source = source
        self.taps = tuple(taps)
        self.backend = backend
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.cached = count * bytes_per_image(size, source, taps) <= limit_bytes
        self.squares: dict[str, npt.NDArray[np.float64]] = {tap: np.zeros(count) for tap in self.taps}
        self._path: Path | None = None
        self._images: npt.NDArray[np.float32]
        self._stored: dict[str, npt.NDArray[np.float16]] = {}
        self._scale: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_room()
            self._path = Path(tempfile.mkdtemp(prefix="activations-", dir=self.folder))
            self._images = self._open("images", np.float32, (self.count, 3, self.size, self.size))
            for tap in self.taps if self.cached else ():
                side = self.size // self.source.taps[tap].stride
                shape = (self.count, side, side, self.source.taps[tap].channels)
                self._stored[tap] = self._open(tap, np.float16, shape)
        except OSError as error:
            self.close()
            raise ActivationError(f"{self.folder}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the files."""
        self._stored = {}
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)

    def fill(
        self,
        images: Iterator[npt.NDArray[np.float32]],
        progress: Progress = lambda done: None,
        pooled: PooledMeans | None = None,
    ) -> None:
        """Runs the source over all `count` images and measures the taps' mean squares. Reports how many are done.

        `pooled` collects its taps' means on the way; those that are not the store's own are computed for it alone.
        """
        taps = tuple(dict.fromkeys((*self.taps, *(pooled.taps if pooled else ()))))
        start = 0
        while start < self.count:
            batch = list(islice(images, min(SOURCE_BATCH, self.count - start)))
            if not batch:
                raise ValueError(f"{self.count} images were promised and {start} came")
            stop = start + len(batch)
            self._images[start:stop] = np.stack(batch)
            found = self.backend.activations(torch.from_numpy(np.stack(batch)), taps)
            if pooled is not None:
                pooled.add(found)
            for tap in self.taps:
                tensor = found[tap]
                self.squares[tap][start:stop] = tensor.double().square().mean(dim=(1, 2, 3)).cpu().numpy()
                if self.cached:
                    # Loud taps reach several thousands; a fixed scale from the first batch keeps them in range.
                    scale = self._scale.setdefault(tap, max(float(tensor.square().mean().sqrt()), SMALLEST_SCALE))
                    self._stored[tap][start:stop] = (tensor / scale).cpu().permute(0, 2, 3, 1).half().numpy()
            start = stop
            progress(start)

    def rms(self, indices: Sequence[int] | None = None) -> dict[str, float]:
        """Each tap's root mean square over those images, or over all."""
        chosen = slice(None) if indices is None else list(indices)
        return {tap: max(float(squares[chosen].mean()) ** 0.5, SMALLEST_SCALE) for tap, squares in self.squares.items()}

    def images(self, indices: Sequence[int], device: torch.device) -> Tensor:
        """Images (B, 3, S, S) of those indices, float32 and channels last on the device."""
        return torch.from_numpy(self._images[list(indices)]).to(device, memory_format=torch.channels_last)

    def batch(self, indices: Sequence[int], device: torch.device) -> ActivationBatch:
        """Images and activations of those indices, float32 and channels last on the device."""
        images = self.images(indices, device)
        if not self.cached:
            found = self.backend.activations(images, self.taps)
            return images, {tap: tensor.to(memory_format=torch.channels_last) for tap, tensor in found.items()}
        rows = list(indices)
        taps = {
            tap: torch.from_numpy(stored[rows]).to(device).float().mul_(self._scale[tap]).permute(0, 3, 1, 2)
            for tap, stored in self._stored.items()
        }
        return images, taps

    def batches(
        self, indices: Sequence[int], device: torch.device, size: int = SOURCE_BATCH
    ) -> Iterator[ActivationBatch]:
        """All of the indices once, in order."""
        for start in range(0, len(indices), size):
            yield self.batch(indices[start : start + size], device)

    def brightness(self, indices: Sequence[int]) -> npt.NDArray[np.float64]:
        """The mean of each of those images."""
        return np.array([self._images[index].mean(dtype=np.float64) for index in indices])

    def _check_room(self) -> None:
        needed = store_bytes(self.count, self.size, self.source, self.taps, self.limit_bytes)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise ActivationError(
                f"the activation cache needs {needed / 2**30:.1f} GiB in {self.folder} and {free / 2**30:.1f} GiB "
                "are free; give an --out on another disk, a smaller --image-size or --cache-limit-gib (slower)"
            )

    def _open(self, name: str, dtype: type[Number], shape: tuple[int, ...]) -> npt.NDArray[Number]:
        assert self._path is not None
        file = self._path / f"{name}.npy"
        opened: npt.NDArray[Number] = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
        with file.open("r+b") as stream:
            # A sparse file on a disk that fills up later would end the process by SIGBUS instead of an error here.
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
        return opened
