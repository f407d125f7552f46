"""Uninformed Students as a method: an ensemble learns the source's activations on good parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from models.heads.base import (
    ActivationBatch,
    FitRun,
    GoodParts,
    Method,
    SourceNeeds,
    Trainable,
    taps_of,
)
from models.heads.parts.by_picture import ByPicture
from models.heads.parts.loop_settings import LoopSettings
from models.heads.parts.patches import middle_tap
from models.heads.students.config import StudentsConfig, StudentsRecord, Yardstick
from models.heads.students.head import StudentsHead, doubts_of, load_head
from models.heads.students.network import Students
from models.heads.students.teacher import Teacher, teacher_of
from models.sources.registry import Activations, SourceSpec

FEWEST_ASIDE = 4
SMALLEST_SPREAD = 1e-9


class StudentsMethod(Method[StudentsConfig]):
    """See the module, and models.heads.base.Method."""

    name = "students"
    title = "Uninformed Students (Bergmann et al., CVPR 2020), on the shared source"
    when = "parts that may lie freely, defects of several sizes; takes a training of minutes"
    Config = StudentsConfig

    def needs(self, config: StudentsConfig, source: SourceSpec) -> SourceNeeds:
        """The taps that the students learn."""
        return SourceNeeds(source.wanted(taps_of(config.taps, source)))

    def fit(self, config: StudentsConfig, parts: GoodParts, run: FitRun) -> StudentsHead:
        """Trains the students together, then standardises what they get wrong on images that they have not seen."""
        taps = self.needs(config, parts.source).taps
        seen, unseen = _set_aside(config, parts, run)
        torch.manual_seed(run.seed)
        students = Students(taps, parts.source, config.students, config.width)
        trainable = StudentsTrainable(config, students, teacher_of(taps, seen.batches()))
        run.train(trainable.to(run.device), seen, config)
        yardsticks = _yardsticks(trainable, unseen.batches())
        run.note("students_error", [round(one.error_mean, 4) for one in yardsticks])
        record = StudentsRecord(
            source=parts.source.name,
            taps=taps,
            grid_tap=middle_tap(taps, parts.source),
            students=config.students,
            width=config.width,
            yardsticks=yardsticks,
        )
        return StudentsHead(record, trainable.students, trainable.teacher)

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> StudentsHead:
        """See Method.load."""
        return load_head(record, tensors)


class StudentsTrainable(Trainable):
    """The students in training: the mean squared error of each against the teacher, added up over depths."""

    def __init__(self, config: StudentsConfig, students: Students, teacher: Teacher) -> None:
        super().__init__()
        self._config = config
        self.students = students
        self.teacher = teacher

    @property
    def trained(self) -> nn.Module:
        """All students."""
        return self.students

    @property
    def fingerprint(self) -> str:
        """See Trainable.fingerprint."""
        return self._config.fingerprint

    def loss(self, images: Tensor, activations: Activations) -> Tensor:
        """See the class. The gradient of one student's part knows nothing of the others."""
        pairs = zip(self.teacher(activations), self.students(images), strict=True)
        return torch.stack([(answers - taught[:, None]).square().mean() for taught, answers in pairs]).sum()

    def optimiser(self, settings: LoopSettings) -> torch.optim.Optimizer:
        """The paper's: Adam with weight decay."""
        return torch.optim.Adam(
            self.students.parameters(), lr=settings.learning_rate, weight_decay=self._config.weight_decay
        )


def _set_aside(config: StudentsConfig, parts: GoodParts, run: FitRun) -> tuple[GoodParts, GoodParts]:
    """The images that are learnt and those of the yardsticks: the same, with a word of it, where there are few."""
    pictures = ByPicture.of(parts)
    count = max(FEWEST_ASIDE, round(config.aside * pictures.count))
    if pictures.count < 2 * FEWEST_ASIDE or count >= pictures.count:
        run.say("beware: too few images to set some aside: errors are standardised on images that were learnt")
        return parts, parts
    order = torch.randperm(pictures.count, generator=run.generator("students set aside")).tolist()
    seen, unseen = (parts.subset(sorted(pictures.images(some))) for some in (order[count:], order[:count]))
    return seen, unseen


@torch.no_grad()
def _yardsticks(trainable: StudentsTrainable, unseen: Iterable[ActivationBatch]) -> tuple[Yardstick, ...]:
    looked = [doubts_of(trainable.teacher(taps), trainable.students(images)) for images, taps in unseen]
    found = []
    for depth in zip(*looked, strict=True):
        error = torch.cat([one.error.flatten() for one in depth]).double()
        variance = torch.cat([one.variance.flatten() for one in depth]).double()
        found.append(
            Yardstick(
                error_mean=float(error.mean()),
                error_spread=max(float(error.std(correction=0)), SMALLEST_SPREAD),
                variance_mean=float(variance.mean()),
                variance_spread=max(float(variance.std(correction=0)), SMALLEST_SPREAD),
            )
        )
    return tuple(found)
