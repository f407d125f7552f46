"""A STUDY.toml in, the checked plan of a study out: data sets, variants, baselines and seeds.

    name = "screw"
    seeds = [0, 1, 2]
    baselines = ["brightness", "pooled", "patch"]
    [training]                     # any field of TrainingSettings, for every run
    steps = 2000
    [[data]]
    name = "screw"
    path = "../shared/data/mvtec_screw"
    [[variant]]
    name = "mean"
    recipe = "default"
    method = { score_power = 1.0 } # any field of the recipe

A data set's and a variant's own `training` come over the study's, the variant's last.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from trainer.config import RECIPES, RecipeName, TrainingSettings
from trainer.data import DataError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Baseline = Literal["brightness", "brightness-distance", "pooled-pool4", "pooled-pool5", "patch", "distances"]
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
    """One way of training: a recipe, fields of it that are changed, and settings that are changed."""

    name: Name
    recipe: RecipeName = "default"
    method: Overrides = {}
    training: Overrides = {}
    only: tuple[Name, ...] = ()  # data sets; all where empty


class StudyPlan(_Plan):
    """The whole study. `checkpoints` are evaluations spread over the last third of training, the end included."""

    name: Name
    about: str = ""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    checkpoints: int = Field(default=4, ge=1, le=50)
    baselines: tuple[Baseline, ...] = ()
    training: Overrides = {}
    data: tuple[DataPlan, ...] = Field(min_length=1)
    variant: tuple[VariantPlan, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for word, names in (
            ("data set", [data.name for data in self.data]),
            ("variant or baseline", [variant.name for variant in self.variant] + list(self.baselines)),
            ("seed", [str(seed) for seed in self.seeds]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"the {word} {', '.join(twice)} is there twice")
        if not self.variant and not self.baselines:
            raise ValueError("a study needs a variant or a baseline")
        strange = {name for variant in self.variant for name in variant.only} - {data.name for data in self.data}
        if strange:
            raise ValueError(f"only: there is no data set {', '.join(sorted(strange))}")
        for data in self.data:
            for variant in self.variant:
                self.settings(data, variant, self.seeds[0])
        return self

    def settings(self, data: DataPlan, variant: VariantPlan | None, seed: int) -> TrainingSettings:
        """The settings of one run; without a variant those that a baseline shares with the runs beside it."""
        merged = {**self.training, **data.training, **(variant.training if variant else {}), "seed": seed}
        forbidden = {"recipe", "recipe_name"} & merged.keys()
        if forbidden:
            raise ValueError(f"training must not hold {', '.join(sorted(forbidden))}: a variant names its recipe")
        if variant is not None:
            recipe = RECIPES[variant.recipe]
            chosen = type(recipe).model_validate({**recipe.model_dump(), **variant.method})
            merged |= {"recipe_name": variant.recipe, "recipe": chosen}
        if merged.get("calibrate_under"):
            raise ValueError("a study calibrates by what it has cached; calibrate_under is measured by `robustness`")
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
