"""A folder in, a verified artifact out (and the way back): all that a product needs to be judged.

    NAME/
      manifest.json      schema, method, source, preprocessing, head, calibration, training, golden scores, packages
      head.safetensors   the head's tensors
      golden/*.png       a few good images whose scores are checked before the artifact serves
      SHA256SUMS         every other file's hash, as `sha256sum -c SHA256SUMS` reads it; its own hash names the artifact

Written beside and renamed, so a folder with the right name is a whole artifact.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError

from models.backends.base import SourceKey
from models.calibration.conformal import Calibration
from models.detector import Detector
from models.heads import HEADS
from models.heads.base import Head
from models.image_judge import ImageJudge, PreparedImage
from models.imaging.decode import ImageError, decode_image
from models.imaging.input_statistics import InputStatistics
from models.imaging.preprocess import Preprocessing
from models.sources.registry import Normalisation, Precision, spec_of

SCHEMA_VERSION: Literal[1] = 1
MANIFEST, TENSORS, SUMS = "manifest.json", "head.safetensors", "SHA256SUMS"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUMS_LINE = re.compile(r"([0-9a-f]{64})  ((?:golden/)?[A-Za-z0-9][A-Za-z0-9._-]*)")
# A golden score may differ by this share of the spread of good scores: far below what could move a decision.
GOLDEN_TOLERANCE = 0.02


class ArtifactError(Exception):
    """An artifact is refused (or cannot be written): which `file`, and the `reason`."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """The source that the head was trained on; another one is refused."""

    weights: str  # the source's name, or what the first release called it
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    normalisation: Normalisation
    precision: Precision = "float32"  # not in artifacts before there was a choice
    licence: str

    @field_validator("weights")
    @classmethod
    def _is_known(cls, name: str) -> str:
        spec_of(name)
        return name


class TrainingRecord(_Record):
    """How the head came about. `settings` is every setting of the run, `outcome` what was measured while training."""

    settings: dict[str, object]
    images_trained: int = Field(ge=1)
    images_held_out: int = Field(ge=1)
    images_unreadable: tuple[str, ...] = ()
    data_sha256: str
    outcome: dict[str, object] = {}


class RecalibrationRecord(_Record):
    """Where a calibration came from that is not the training's: the artifact before it, and the new good images."""

    from_version: str
    from_sha256: str
    images: int = Field(ge=1)
    images_unreadable: tuple[str, ...] = ()
    data_sha256: str
    under: tuple[str, ...] = ()


class GoldenRecord(_Record):
    """One golden image, the score it had when the artifact was made, and its map's peak."""

    file: str = Field(pattern=r"^golden/[A-Za-z0-9._-]+\.png$")
    score: float
    map_peak: float


class Manifest(_Record):
    """manifest.json."""

    schema_version: Literal[1] = SCHEMA_VERSION
    product: str = Field(pattern=f"^{NAME_PATTERN.pattern}$")
    version: str = Field(pattern=f"^{NAME_PATTERN.pattern}$")
    method: str
    created_at: str
    source: SourceRecord
    preprocessing: Preprocessing
    head: dict[str, object]
    calibration: Calibration
    input_statistics: InputStatistics | None = None  # of the calibration images; not in artifacts of the first release
    training: TrainingRecord
    recalibration: RecalibrationRecord | None = None
    golden: tuple[GoldenRecord, ...] = Field(min_length=1)
    packages: dict[str, str]


@dataclass(frozen=True)
class Artifact:
    """A loaded artifact. `sha256` is of SHA256SUMS and so of every byte; `path` is where it was read."""

    path: Path
    sha256: str
    manifest: Manifest
    head: Head

    @property
    def source(self) -> SourceKey:
        """What the head needs of a source; rows with equal keys share its pass."""
        record = self.manifest.source
        return SourceKey(spec_of(record.weights).name, record.sha256, record.normalisation, record.precision)

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
        return ImageJudge(self.head, self.source, self.preprocessing)

    def verify_golden(self, detector: Detector) -> None:
        """Decodes, prepares and judges the golden images here and now. Raises ArtifactError where a score differs.

        The head must be on the detector's device and its source built. The tolerance is GOLDEN_TOLERANCE of the
        held-out scores' spread.
        """
        pictures = [self._golden_picture(golden) for golden in self.manifest.golden]
        tolerance = golden_tolerance(self.calibration)
        for golden, judgement in zip(self.manifest.golden, self.judge.judge_all(detector, pictures), strict=True):
            difference = abs(judgement.score - golden.score)
            if not difference <= tolerance:
                raise ArtifactError(
                    self.path / golden.file,
                    f"scores {judgement.score:.6g} here and {golden.score:.6g} when it was made; "
                    f"a difference of at most {tolerance:.2g} is allowed",
                )

    def _golden_picture(self, golden: GoldenRecord) -> PreparedImage:
        try:
            return self.judge.prepare(decode_image((self.path / golden.file).read_bytes()))
        except (ImageError, OSError) as error:
            raise ArtifactError(self.path / golden.file, f"cannot be read: {error}") from error


def golden_tolerance(calibration: Calibration) -> float:
    """How far a golden score may be off, in score units."""
    spread = calibration.scores[-1] - calibration.scores[0]
    return GOLDEN_TOLERANCE * spread + 1e-5 * abs(calibration.scores[-1])


def load_artifact(path: Path) -> Artifact:
    """Reads and checks an artifact folder; the head is on the CPU. Golden scores are checked by `verify_golden`.

    Raises ArtifactError naming the file and the reason: a missing file, a wrong hash, an unknown schema or method.
    """
    sums = _read(path / SUMS)
    contents = _verified_contents(path, sums)
    manifest = _parse_manifest(path / MANIFEST, contents[MANIFEST])
    head_class = HEADS.get(manifest.method)
    if head_class is None:
        raise ArtifactError(path / MANIFEST, f"unknown method {manifest.method!r}; this version has {', '.join(HEADS)}")
    for golden in manifest.golden:
        if golden.file not in contents:
            raise ArtifactError(path / golden.file, f"is not listed in {SUMS}")
    try:
        tensors = safetensors.torch.load(contents[TENSORS])
        head = head_class.load(manifest.head, tensors)
    except (SafetensorError, ValidationError, ValueError) as error:
        raise ArtifactError(path / TENSORS, f"does not fit the manifest: {error}") from error
    return Artifact(path, hashlib.sha256(sums).hexdigest(), manifest, head.eval().requires_grad_(False))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(file, "is missing") from error
    except OSError as error:
        raise ArtifactError(file, f"cannot be read: {error.strerror or error}") from error


def _verified_contents(path: Path, sums: bytes) -> dict[str, bytes]:
    """Every listed file's bytes, each read once and checked, so that what is used is what was checked."""
    contents: dict[str, bytes] = {}
    for line in sums.decode("ascii", errors="replace").splitlines():
        matched = _SUMS_LINE.fullmatch(line)
        if matched is None:
            raise ArtifactError(path / SUMS, f"has a line that is no hash and file name: {line[:80]!r}")
        expected, name = matched.groups()
        contents[name] = _read(path / name)
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != expected:
            raise ArtifactError(path / name, f"its SHA-256 is {found[:12]}..., not {expected[:12]}... as {SUMS} says")
    for name in (MANIFEST, TENSORS):
        if name not in contents:
            raise ArtifactError(path / name, f"is not listed in {SUMS}")
    if sums != _sums_text({name: contents[name] for name in contents}):
        raise ArtifactError(path / SUMS, "is not as it was written")
    return contents


def _parse_manifest(file: Path, data: bytes) -> Manifest:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise ArtifactError(file, f"is not JSON: {error}") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise ArtifactError(file, f"has schema version {version}; this version reads {SCHEMA_VERSION}")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(file, f"{where}: {first['msg']}") from error


def _sums_text(contents: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())]
    return "".join(lines).encode()


def write_artifact(path: Path, manifest: Manifest, head: Head, golden: Sequence[bytes]) -> Artifact:
    """Writes the folder `path` whole or not at all; a folder of that name is replaced. Returns it as loaded again.

    `golden` are PNG files in the order of `manifest.golden`. Raises ArtifactError when the disk is full and the like;
    then nothing of `path` has changed.
    """
    contents = {
        MANIFEST: (manifest.model_dump_json(indent=2) + "\n").encode(),
        TENSORS: safetensors.torch.save(head.tensors(), metadata={"method": manifest.method}),
        **{record.file: data for record, data in zip(manifest.golden, golden, strict=True)},
    }
    contents[SUMS] = _sums_text(contents)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise ArtifactError(path, f"cannot be written: {error.strerror or error}") from error
    try:
        for name, data in contents.items():
            _write_synced(beside / name, data)
        beside.chmod(0o755)
        load_artifact(beside)
        _replace_folder(beside, path)
    except OSError as error:
        raise ArtifactError(path, f"cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return load_artifact(path)


def _write_synced(file: Path, data: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _replace_folder(new: Path, path: Path) -> None:
    """Renames `new` to `path`; an old folder there steps aside first and returns if the renaming fails."""
    if not path.exists():
        os.rename(new, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    os.rename(path, aside / path.name)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(aside / path.name, path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
