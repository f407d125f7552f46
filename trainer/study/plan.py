"""Reads and checks the plan of a study, a STUDY.toml: data sets, variants, controls and seeds.

    name = "screw"
    seeds = [0, 1, 2]
    controls = ["brightness", "pooled-pool5"]
    [training]                     # any common setting of `mkd-train fit`, for every run
    image_size = 128
    [methods.mkd]                  # settings of a method, for every variant of it
    steps = 2000
    [[data]]
    name = "screw"
    path = "../shared/data/mvtec_screw"
    [[variant]]
    name = "mean"
    method = { method = "mkd", recipe = "paper" }

A data set's and a variant's own `training` come over the study's, the variant's last.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from models.heads.registry import DEFAULT_METHOD, config_of
from models.names import WHOLE_NAME
from trainer.config import TrainingSettings
from trainer.data import DataError
from trainer.study.controls import CONTROLS

Name = Annotated[str, StringConstraints(pattern=WHOLE_NAME)]
Overrides = Mapping[str, object]
CLASSES = 10


class _Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataPlan(_Plan):
    """One data set. Paths are relative to the working directory.

    kind "folder" is the MVTec layout. kind "fashion-mnist" is one set for each of `classes`: that class is good, all
    others are defects; `path` holds the four IDX files, `train_images`, `test_good` and `test_others` (of all other
    classes together) are how many are drawn by `draw_seed`, all where not given. `level_light` scales every image to
    the training set's median brightness.
    """

    name: Name
    kind: Literal["folder", "fashion-mnist"] = "folder"
    path: Path
    level_light: bool = False
    classes: tuple[Annotated[int, Field(ge=0, lt=CLASSES)], ...] = Field(default=tuple(range(CLASSES)), min_length=1)
    train_images: int | None = Field(default=None, ge=8)
    test_good: int | None = Field(default=None, ge=1)
    test_others: int | None = Field(default=None, ge=CLASSES - 1)
    draw_seed: int = Field(default=0, ge=0)
    training: Overrides = {}


class VariantPlan(_Plan):
    """One way to fit: a method with settings of it, and common settings that are changed."""

    name: Name
    method: Overrides = {}
    training: Overrides = {}
    only: tuple[Name, ...] = ()  # data sets; all where empty


class StudyPlan(_Plan):
    """The whole study. `checkpoints` are evaluations spread over the last third of training, the end included."""

    name: Name
    about: str = ""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    checkpoints: int = Field(default=4, ge=1, le=50)
    controls: tuple[str, ...] = ()
    training: Overrides = {}
    methods: Mapping[str, Overrides] = {}
    data: tuple[DataPlan, ...] = Field(min_length=1)
    variant: tuple[VariantPlan, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for word, names in (
            ("data set", [data.name for data in self.data]),
            ("variant or control", [variant.name for variant in self.variant] + list(self.controls)),
            ("seed", [str(seed) for seed in self.seeds]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"the {word} {', '.join(twice)} is there twice")
        if not self.variant and not self.controls:
            raise ValueError("a study needs a variant or a control")
        unknown = sorted(set(self.controls) - set(CONTROLS))
        if unknown:
            raise ValueError(f"there is no control {', '.join(unknown)}; there are {', '.join(CONTROLS)}")
        strange = {name for variant in self.variant for name in variant.only} - {data.name for data in self.data}
        if strange:
            raise ValueError(f"only: there is no data set {', '.join(sorted(strange))}")
        for data in self.data:
            for variant in self.variant:
                self.settings(data, variant, self.seeds[0])
        return self

    def settings(self, data: DataPlan, variant: VariantPlan | None, seed: int) -> TrainingSettings:
        """The settings of one run; without a variant those that a control shares with the runs beside it."""
        merged = {**self.training, **data.training, **(variant.training if variant else {}), "seed": seed}
        if "method" in merged:
            raise ValueError("training must not hold method: a variant names its method")
        if variant is not None:
            name = str(variant.method.get("method", DEFAULT_METHOD))
            merged["method"] = config_of({"method": name, **self.methods.get(name, {}), **variant.method})
        if merged.get("calibrate_under"):
            raise ValueError("a study calibrates by what it has cached; calibrate_under is measured by `robustness`")
        if merged.get("calibrate_by", "held-out") != "held-out":
            raise ValueError(
                "a study calibrates by held-out pictures, and its runs share what is trained; folds are measured by "
                "`python -m benchmarks.fold_promises`"
            )
        return TrainingSettings.model_validate(merged)


def read_plan(file: Path) -> StudyPlan:
    """Reads and checks the whole plan. Raises DataError naming the file and what is wrong in it."""
    try:
        return StudyPlan.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise DataError(f"{file}: {problems}") from error
