"""The head of Uninformed Students: what the students get wrong of the teacher, and what they disagree on.

    e(x, y) = | mean_i s_i - t |^2 / C               t: the teacher's vector at a place, s_i: that of student i
    v(x, y) = mean_i | s_i - mean_i s_i |^2 / C
    a(x, y) = mean over depths of (e - e_mean) / e_spread + (v - v_mean) / v_spread
    score   = highest a of any place
    map     = a, brought to the picture and blurred

Means and spreads are those of good images that no student has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.parts.maps import patch_map
from models.heads.parts.patches import on_grid
from models.heads.students.config import StudentsRecord
from models.heads.students.network import Students
from models.heads.students.teacher import Teacher
from models.sources.registry import Activations, spec_of


class Doubts(NamedTuple):
    """Of one depth: the `error` of the students' mean and the `variance` between students, each (B, h, w)."""

    error: Tensor
    variance: Tensor


def doubts_of(taught: Sequence[Tensor], answers: Sequence[Tensor]) -> list[Doubts]:
    """The teacher's (B, C, h, w) and the students' (B, M, C, h, w) for each depth -> e and v of the module's text."""
    found = []
    for teacher, students in zip(taught, answers, strict=True):
        mean = students.mean(dim=1)
        variance = (students - mean[:, None]).square().mean(dim=(1, 2))
        found.append(Doubts((mean - teacher).square().mean(dim=1), variance))
    return found


class StudentsHead(Head):
    """The trained students and their teacher. See the module for the equations."""

    method: ClassVar[str] = "students"
    record: StudentsRecord

    def __init__(self, record: StudentsRecord, students: Students, teacher: Teacher) -> None:
        super().__init__()
        self.record = record
        self.students = students
        self.teacher = teacher

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return SourceNeeds(self.record.taps)

    @torch.no_grad()
    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge."""
        places = self.places(images, activations)
        asked = torch.tensor(list(wants_map), dtype=torch.bool, device=places.device)
        return HeadOutput(places.amax(dim=(1, 2)), patch_map(places[asked], images.shape[-1]))

    def places(self, images: Tensor, activations: Activations) -> Tensor:
        """a of the module's text, (B, h, w) on the grid of the record's `grid_tap`."""
        grid = activations[self.record.grid_tap].shape[-2:]
        depths = []
        found = doubts_of(self.teacher(activations), self.students(images))
        for doubts, usual in zip(found, self.record.yardsticks, strict=True):
            error = (doubts.error - usual.error_mean) / usual.error_spread
            variance = (doubts.variance - usual.variance_mean) / usual.variance_spread
            depths.append(on_grid((error + variance)[:, None], grid))
        return torch.cat(depths, dim=1).mean(dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        found = {f"students.{name}": tensor for name, tensor in self.students.state_dict().items()}
        found |= {f"teacher.{name}": tensor for name, tensor in self.teacher.tensors().items()}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> StudentsHead:
    """See Method.load."""
    record = StudentsRecord.model_validate(stored)
    source = spec_of(record.source)
    students = Students(source.wanted(record.taps), source, record.students, record.width)
    wanted = {f"students.{name}" for name in students.state_dict()}
    wanted |= {f"teacher.{tap}.{part}" for tap in record.taps for part in ("mean", "spread")}
    if set(tensors) != wanted:
        raise ValueError(f"the tensors {', '.join(sorted(wanted))} are expected, and nothing else")
    parts = {
        prefix: {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        for prefix in ("students.", "teacher.")
    }
    for tap in record.taps:
        for part in ("mean", "spread"):
            if parts["teacher."][f"{tap}.{part}"].shape != (source.taps[tap].channels,):
                raise ValueError(f"teacher.{tap}.{part} does not fit the tap's channels")
    try:
        students.load_state_dict(parts["students."])
    except RuntimeError as error:
        raise ValueError(f"the tensors do not fit the students that the manifest describes: {error}") from error
    return StudentsHead(record, students, Teacher(record.taps, parts["teacher."]))
