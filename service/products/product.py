"""One version of a product as requests use it, and what `/products` says of a product."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from models.artifact import Artifact
from models.calibration.conformal import Calibration
from models.heads.base import Head
from models.image_judge import ImageJudge
from models.imaging.input_statistics import InputStatistics
from models.imaging.preprocess import Preprocessing

OLD_PREPROCESSING = (
    "preprocessing of version 1: where one side of a picture shrinks and the other grows, thin defects can be passed "
    "over; train again for version 2"
)
State = Literal["served", "resting", "loading", "unloaded", "refused"]


class VersionKey(NamedTuple):
    """One artifact as it was read, without its head: the same folder with other contents is another key.

    `folder` is the version's folder name, "" for a plain NAME; `version` is what replies and metrics call it. `doubts`
    are of ProductVersion.
    """

    name: str
    folder: str
    hash: str
    version: str
    method: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ProductVersion:
    """A version of a product, immutable and whole: no verdict can mix two versions.

    `folder` is the version's folder name, "" for a plain NAME; `version` is what replies and metrics call it: the
    folder's name or, for a plain NAME, the version of its manifest.
    """

    name: str
    folder: str
    version: str
    hash: str
    artifact: Artifact

    @property
    def key(self) -> VersionKey:
        return VersionKey(self.name, self.folder, self.hash, self.version, self.method, self.doubts)

    @property
    def head(self) -> Head:
        return self.artifact.head

    @property
    def calibration(self) -> Calibration:
        return self.artifact.calibration

    @property
    def preprocessing(self) -> Preprocessing:
        return self.artifact.preprocessing

    @property
    def input_statistics(self) -> InputStatistics | None:
        return self.artifact.manifest.input_statistics

    @property
    def scores_are_of_another_kind(self) -> bool:
        """Whether the calibration's scores are not what this head gives parts as they are: the worst of changes or of
        near-duplicates, or those of heads of folds, which have seen fewer pictures."""
        manifest = self.artifact.manifest
        if manifest.recalibration is not None:
            record = manifest.recalibration
            return bool(record.under) or (record.independent or record.images) < record.images
        training = manifest.training
        counted, images = training.independent_calibrated, training.images_calibrated
        return training.folds is not None or bool(training.settings.get("calibrate_under")) or counted < images

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a person should know before trusting a verdict by this version; none of a sound one."""
        manifest = self.artifact.manifest
        reasons = manifest.degenerate.reasons if manifest.degenerate is not None else ()
        found = [f"degenerate, accepted at the fit: {reason}" for reason in reasons]
        if manifest.preprocessing.version == 1:
            found.append(OLD_PREPROCESSING)
        return tuple(found)

    @property
    def method(self) -> str:
        return self.artifact.manifest.method

    @property
    def calibrated_at(self) -> float:
        """Unix time at which the artifact was made; 0 where its manifest gives no time that can be read."""
        try:
            made = datetime.fromisoformat(self.artifact.manifest.created_at)
            return max(0.0, (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError, OSError):
            return 0.0

    def check(self) -> None:
        """Raise here, and not at the switch to this version, what can be raised by what the manifest says."""
        _ = self.calibration.thresholds(), self.calibrated_at, self.key, self.scores_are_of_another_kind

    @property
    def judge(self) -> ImageJudge:
        """What turns a picture into rows for the engine and their judgements back into one."""
        return self.artifact.judge


@dataclass(frozen=True, kw_only=True)
class ProductStatus:
    """A product as `/products` shows it.

    `state`: served; resting (unloaded to save memory, loads itself on the next request); loading (found, and no version
    is ready yet); unloaded (by an operator); refused (no version could be loaded, or its folder was removed).
    `problems` says, for each version that was refused, why (version "" is a plain NAME).
    """

    name: str
    state: State
    version: str | None  # the active one
    method: str | None
    hash: str | None
    versions: tuple[str, ...]  # on disk, lowest first; empty for a plain NAME
    pinned: str | None
    previous: str | None  # what a rollback would return to
    leases: int  # requests that use any of its versions now
    head_bytes: int  # in memory now
    problems: dict[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()  # ProductVersion.doubts of the active one
    golden_check: str | None = None  # which golden pictures of the active one were judged at its load, in words
    note: str | None = None  # where what an operator decided would not survive a restart: that, and why
