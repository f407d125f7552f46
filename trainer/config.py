"""The settings of one training run, as given on the command line and as recorded in the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.backends.processor import has_fast_bfloat16
from models.calibration.conformal import DEFAULT_MAP_RATE, DEFAULT_NG_RATE, DEFAULT_REVIEW_RATE
from models.heads.mkd.fit import MkdRecipe, StepPrecision
from models.heads.parts.whitening import View
from models.imaging.preprocess import Preprocessing, WhiteLevel
from models.sources.registry import DEFAULT_SOURCE, Normalisation, Precision
from trainer.perturb import Change

RecipeName = Literal["default", "paper", "reference"]
# The paper's equations, and its reference code where the two disagree (design notes in docs/method.md).
RECIPES: Mapping[RecipeName, MkdRecipe] = {
    # Errors by how unusual they are, through windows of a quarter of the side; what is wrong with the whole picture is
    # seen by its mean. docs/results.md says how these were chosen, and what had been seen by then.
    "default": MkdRecipe(
        score_views=(
            View(tap="pool3", window=25),
            View(tap="pool4", window=25),
            View(tap="pool5", window=25),
            View(tap="pool4", window=100),
        ),
        score_power=8.0,
        map_views=(View(tap="pool3", window=0), View(tap="pool3", window=25), View(tap="pool4", window=25)),
        map_log=True,
        attribution="discrepancy",
    ),
    "paper": MkdRecipe(),
    "reference": MkdRecipe(
        lambda_dir=2.0,  # its loss is dir + 0.5 val
        score_taps=("pool3", "pool4", "pool5"),
        map_taps=("pool3", "pool4", "pool5"),
        cloner_input="unit",
    ),
}


class Augmentation(BaseModel):
    """Random turns and scalings of the training images, made once: `copies` variants of each are cached.

    The paper's for HeadCT: rotation 20 degrees, scale 0.9 to 1.05. Held-out images are never changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    copies: int = Field(default=1, ge=1, le=64)
    rotation: float = Field(default=0.0, ge=0, le=180)
    scale_low: float = Field(default=1.0, gt=0.25, le=1)
    scale_high: float = Field(default=1.0, ge=1, lt=4)

    @model_validator(mode="after")
    def _something_varies(self) -> Augmentation:
        varies = self.rotation > 0 or self.scale_low < self.scale_high
        if self.copies > 1 and not varies:
            raise ValueError("more than one copy needs a rotation or a range of scales")
        return self

    @property
    def varies(self) -> bool:
        """Whether any image is changed at all."""
        return self.rotation > 0 or self.scale_low < self.scale_high


class TrainingSettings(BaseModel):
    """Everything that decides what a run gives. The same settings, data and machine give the same artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe_name: RecipeName = "default"
    recipe: MkdRecipe = RECIPES["default"]
    source: str = DEFAULT_SOURCE
    normalisation: Normalisation = "source"
    source_precision: Precision = "float32"
    image_size: int = Field(default=128, ge=32, le=1024, multiple_of=32)
    steps: int = Field(default=2000, ge=1)
    batch_size: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    average_decay: float = Field(default=0.995, ge=0, lt=1)
    # Of the cloner's convolutions while training; docs/results.md compares the two.
    step_precision: StepPrecision = Field(default_factory=lambda: "bfloat16" if has_fast_bfloat16() else "float32")
    seed: int = Field(default=0, ge=0)
    hold_out: float = Field(default=0.2, gt=0, lt=0.9)
    augmentation: Augmentation = Augmentation()
    review_rate: float = Field(default=DEFAULT_REVIEW_RATE, gt=0, lt=1)
    ng_rate: float = Field(default=DEFAULT_NG_RATE, gt=0, lt=1)
    map_rate: float = Field(default=DEFAULT_MAP_RATE, gt=0, lt=1)
    # Held-out images count with their worst score under these changes, so that the promise covers them.
    calibrate_under: tuple[Change, ...] = ()
    tail_fit: bool = False  # also where the held-out images can promise the NG rate

    def preprocessing(self, sixteen_bit_white: WhiteLevel) -> Preprocessing:
        """How images become the network's input; the white level is read off the training images."""
        return Preprocessing(image_size=self.image_size, sixteen_bit_white=sixteen_bit_white, jpeg="reduced")
