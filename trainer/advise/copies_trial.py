"""Fits MKD without its cloner to few pictures with their changed copies, and measures what the copies bring.

No defective picture is seen. Of other good pictures it is measured how likely they are by the Gaussians of MKD's first
view by place, and defects are painted on these. The source runs once over all copies of a picture, at one size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from models.heads.base import to_device
from models.heads.mkd.config import MkdConfig
from models.heads.mkd.likelihood import cost_of_others
from models.heads.registry import method_of
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Prepared
from trainer.activations import ActivationStore
from trainer.advise.trial import Separations, separations, stored_scores
from trainer.augment import same_images
from trainer.data import prepared_images
from trainer.fit_run import TrainingRun, seeded
from trainer.good_parts import StoredParts
from trainer.painted.paint import Painted
from trainer.quiet import QuietDisplay
from trainer.same_part import CHANGES_OF, Same

SETTINGS = MkdConfig(cloner="none", attribution="discrepancy")
PURPOSE = "advise copies"  # of what is drawn at random


class TriedCopies(NamedTuple):
    """One set of changes: `images` fitted to, `cost` of other good pictures in nats a place, painted defects."""

    same: Same
    images: int
    cost: float
    painted: Separations


@dataclass(frozen=True)
class CopiedPictures:
    """Files that are fitted to in all changes of `widest`, others set aside, and defects painted on those."""

    fitted: Sequence[Path]
    aside: Sequence[Path]
    defects: Sequence[Painted]
    origin: Sequence[int]  # of each defect, which of those set aside it is on
    views: PictureViews
    widest: Same

    def __iter__(self) -> Iterator[Prepared]:
        yield from same_images(self.fitted, self.views, self.widest)
        yield from prepared_images(tuple(self.aside), self.views)
        for defect in self.defects:
            yield from self.views.prepare(defect.pixels).views

    @property
    def copied(self) -> int:
        """Images of those that are fitted to."""
        return len(self.fitted) * len(CHANGES_OF[self.widest])

    @property
    def count(self) -> int:
        """All images."""
        return self.copied + len(self.aside) + len(self.defects)

    def rows(self, same: Same) -> list[int]:
        """Where the images of a narrower set of changes lie, picture by picture."""
        every = list(CHANGES_OF[self.widest])
        places = [every.index(change) for change in CHANGES_OF[same]]
        return [picture * len(every) + place for picture in range(len(self.fitted)) for place in places]


class CopiesTrial:
    """`store` is filled with `pictures`."""

    def __init__(self, pictures: CopiedPictures, store: ActivationStore, device: torch.device, seed: int) -> None:
        self._pictures = pictures
        self._store = store
        self._device = device
        self._seed = seed

    def tried(self, same: Same, opened: ExitStack) -> TriedCopies:
        """Raises ValueError where MKD cannot be fitted to so few pictures."""
        pictures, rows = self._pictures, self._pictures.rows(same)
        each = len(rows) // len(pictures.fitted)
        numbers = [image // each for image in range(len(rows))]
        parts = StoredParts(self._store, rows, self._device, opened, numbers)
        run = TrainingRun(self._device, self._seed, QuietDisplay(), self._store.folder, PURPOSE)
        head = to_device(method_of(SETTINGS.method).fit(SETTINGS, parts, run), self._device)
        others = range(pictures.copied, pictures.count)
        scores = stored_scores(head, self._store, others, self._device)
        count = len(pictures.aside)
        aside = StoredParts(self._store, others[:count], self._device, opened)
        cost = cost_of_others(SETTINGS, parts, aside, seeded(self._seed, PURPOSE))
        painted = separations(scores[:count], scores[count:], pictures.defects, pictures.origin)
        return TriedCopies(same, len(rows), cost, painted)
