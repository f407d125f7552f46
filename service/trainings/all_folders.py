"""The folders of all trainings below one root: found, begun anew, settled and removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from models.names import is_name
from service.errors import TrainingNotFound
from service.trainings.folder import TrainingFolder
from service.trainings.lock import is_held
from service.trainings.record import TrainingRecord

KEPT = 20  # of one product; older ones go when another is begun
ENDED_UNSEEN = "ended without a word: it was killed, or the machine was stopped"


class AllFolders:
    """`root` need not be there. `lock` is held by whoever uploads or trains."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.lock = self.root / ".lock"

    def of(self, product: str) -> list[TrainingFolder]:
        """Those of a product, the newest first."""
        path = self.root / product
        names = sorted((each.name for each in path.iterdir()), reverse=True) if _is_folder(path) else []
        return [
            folder
            for folder in (TrainingFolder(path / name) for name in names if is_name(name))
            if _record(folder) is not None
        ]

    def one(self, product: str, id: str) -> TrainingFolder:
        """Raises TrainingNotFound."""
        folder = TrainingFolder(self.root / product / id)
        if is_name(product) and is_name(id) and _record(folder) is not None:
            return folder
        known = [each.path.name for each in self.of(product)]
        raise TrainingNotFound(f"{product} has no training {id[:64]!r}; there are: {', '.join(known) or 'none'}")

    def new(self, product: str) -> TrainingFolder:
        """An empty one with a place for pictures; named by the microsecond, so no name comes twice. Raises OSError."""
        while True:
            folder = TrainingFolder(self.root / product / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
            try:
                folder.path.mkdir(parents=True)
            except FileExistsError:
                continue
            folder.pictures.mkdir()
            return folder

    def as_it_is(self, folder: TrainingFolder) -> TrainingRecord:
        """The record, where a training whose process is gone has failed. Raises TrainingNotFound."""
        record = _record(folder)
        if record is None:
            raise TrainingNotFound(f"training {folder.path.name} was removed")
        if record.state != "running" or is_held(self.lock):
            return record
        again = _record(folder) or record  # it may have ended between the two looks
        if again.state != "running":
            return again
        return again.model_copy(update={"state": "failed", "reason": ENDED_UNSEEN})

    def any_runs(self) -> bool:
        """Whether a training of any product has not ended by its record."""
        records = [_record(folder) for each in self._products() for folder in self.of(each.name)]
        return any(record.state == "running" for record in records if record is not None)

    def tidy(self) -> None:
        """Nothing runs: settle what seems to, remove what was given up and what is old. Raises OSError."""
        for product in self._products():
            paths = sorted((each for each in product.iterdir() if is_name(each.name)), key=lambda each: each.name)
            for folder in map(TrainingFolder, paths):
                record = _record(folder)
                if record is None:
                    folder.remove()
                elif record.state == "running":
                    folder.ended(record, "failed", ENDED_UNSEEN)
            for path in paths[:-KEPT]:
                TrainingFolder(path).remove()

    def _products(self) -> Iterator[Path]:
        return (each for each in self.root.iterdir() if _is_folder(each))


def _is_folder(path: Path) -> bool:
    return is_name(path.name) and path.is_dir()


def _record(folder: TrainingFolder) -> TrainingRecord | None:
    """None where there is none, or none that can be understood."""
    try:
        return folder.read()
    except (OSError, ValueError):
        return None
