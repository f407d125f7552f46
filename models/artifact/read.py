"""Reads an artifact folder and checks it: every file's hash, the manifest's form, the tensors' fit to the method.

Tensors are memory-mapped, so a head of some hundred MB costs memory once it is judged with. Each file is hashed once a
load; one that changes between its hash and its use is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.artifact.golden import golden_pictures, verify_golden
from models.artifact.manifest import MANIFEST, MASK, SUMS, TENSORS, ArtifactError, Manifest
from models.artifact.upgrade import upgraded
from models.backends.base import SourceKey
from models.backends.workload import Workload
from models.calibration.conformal import Calibration
from models.detector import Detector
from models.heads.base import Head
from models.heads.grouped import load_grouped
from models.heads.per_tile.head import is_per_tile, load_per_tile
from models.heads.registry import method_of
from models.image_judge import ImageJudge
from models.imaging.errors import ImageError
from models.imaging.preprocess import Preprocessing
from models.imaging.regions import Regions, RegionsError

_SUMS_LINE = re.compile(r"([0-9a-f]{64})  ((?:golden/)?[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class Artifact:
    """A loaded artifact. `sha256` is of SHA256SUMS and so of every byte; `path` is where it was read."""

    path: Path
    sha256: str
    manifest: Manifest
    head: Head
    regions: Regions | None = None

    @property
    def source(self) -> SourceKey:
        """What the head needs of a source; rows with equal keys share its pass."""
        record = self.manifest.source
        return SourceKey(record.name, record.sha256, record.normalisation, record.precision)

    @property
    def calibration(self) -> Calibration:
        """The held-out scores and what follows from them."""
        return self.manifest.calibration

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become input."""
        return self.manifest.preprocessing

    @property
    def judge(self) -> ImageJudge:
        """What turns a picture into rows for the detector and their judgements back into one."""
        return ImageJudge(self.head, self.source, self.preprocessing, self.manifest.levels, self.regions)

    @property
    def workload(self) -> Workload:
        """What its source is asked for: the head's taps, and the golden pictures to measure backends with."""
        return Workload(
            self.head.needs.taps, lambda: [view for picture in golden_pictures(self) for view in picture.views]
        )

    def verify_golden(self, detector: Detector) -> tuple[float, ...]:
        """See models.artifact.golden.verify_golden."""
        return verify_golden(self, detector)


def load_artifact(path: Path) -> Artifact:
    """Reads and checks an artifact folder; the head is on the CPU. Golden scores are checked by `verify_golden`.

    Raises ArtifactError naming the file and the reason: a missing file, a wrong hash, an unknown schema or method.
    """
    sums = _read(path / SUMS)
    listed = _listed(path, sums)
    manifest_bytes = _read(path / MANIFEST)
    _check(path / MANIFEST, hashlib.sha256(manifest_bytes).hexdigest(), listed[MANIFEST])
    manifest = _parse_manifest(path / MANIFEST, manifest_bytes)
    for golden in manifest.golden:
        if golden.file not in listed:
            raise ArtifactError(path / golden.file, f"is not listed in {SUMS}")
    states = {name: _hashed(path / name, listed[name]) for name in listed if name != MANIFEST}
    regions = _regions(path / MASK, listed, manifest)
    head = _head(path / TENSORS, manifest)
    if _state(path / TENSORS) != states[TENSORS]:
        raise ArtifactError(path / TENSORS, "has changed while it was read")
    return Artifact(path, hashlib.sha256(sums).hexdigest(), manifest, head.eval().requires_grad_(False), regions)


def _regions(file: Path, listed: Mapping[str, str], manifest: Manifest) -> Regions | None:
    """The mask that the manifest names; it may not be left out, nor lie there unnamed."""
    record = manifest.regions
    if record is None and MASK not in listed:
        return None
    if record is None or MASK not in listed:
        raise ArtifactError(file, f"must be named by {MANIFEST} and listed in {SUMS}, or by neither")
    try:
        found = Regions.from_png(_read(file))
    except (ImageError, RegionsError) as error:
        raise ArtifactError(file, str(error)) from error
    if (found.width, found.height) != (record.width, record.height):
        raise ArtifactError(
            file, f"is {found.width} x {found.height}, and not {record.width} x {record.height} as {MANIFEST} says"
        )
    return found


class _State(NamedTuple):
    inode: int
    size: int
    modified_ns: int


def _state(file: Path) -> _State:
    stat = file.stat()
    return _State(stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(file, "is missing") from error
    except OSError as error:
        raise ArtifactError(file, f"cannot be read: {error.strerror or error}") from error


def _hashed(file: Path, expected: str) -> _State:
    """The file's state before it was hashed; raises ArtifactError where its hash is another."""
    try:
        state = _state(file)
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ArtifactError(file, "is missing") from error
    except OSError as error:
        raise ArtifactError(file, f"cannot be read: {error.strerror or error}") from error
    _check(file, found, expected)
    return state


def _check(file: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ArtifactError(file, f"its SHA-256 is {found[:12]}..., not {expected[:12]}... as {SUMS} says")


def _listed(path: Path, sums: bytes) -> dict[str, str]:
    """File name -> hash, as SHA256SUMS lists them; it must have the one form in which it is written."""
    listed: dict[str, str] = {}
    for line in sums.decode("ascii", errors="replace").splitlines():
        matched = _SUMS_LINE.fullmatch(line)
        if matched is None:
            raise ArtifactError(path / SUMS, f"has a line that is no hash and file name: {line[:80]!r}")
        listed[matched[2]] = matched[1]
    for name in (MANIFEST, TENSORS):
        if name not in listed:
            raise ArtifactError(path / name, f"is not listed in {SUMS}")
    if sums != sums_text(listed):
        raise ArtifactError(path / SUMS, "is not as it was written")
    return listed


def sums_text(hashes: dict[str, str]) -> bytes:
    """SHA256SUMS of file names and their hashes."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items())).encode()


def _parse_manifest(file: Path, data: bytes) -> Manifest:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise ArtifactError(file, f"is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ArtifactError(file, "is not a JSON object")
    try:
        return Manifest.model_validate_json(json.dumps(upgraded(raw)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(file, f"{where}: {first['msg']}") from error
    except ValueError as error:
        raise ArtifactError(file, str(error)) from error


def _head(file: Path, manifest: Manifest) -> Head:
    try:
        method = method_of(manifest.method)
    except ValueError as error:
        raise ArtifactError(file.with_name(MANIFEST), str(error)) from error
    tiles, groups = manifest.preprocessing.tiles, manifest.preprocessing.groups
    try:
        if groups:
            return load_grouped(method, manifest.head, _mapped(file), groups)
        if is_per_tile(manifest.head):
            return load_per_tile(method, manifest.head, _mapped(file), 1 if tiles is None else tiles.count)
        return method.load(manifest.head, _mapped(file))
    except (SafetensorError, ValidationError, ValueError) as error:
        raise ArtifactError(file, f"does not fit the manifest: {error}") from error


def _mapped(file: Path) -> dict[str, Tensor]:
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
