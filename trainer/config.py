"""The settings of one run, as given on the command line or in a TOML file, and as recorded in the artifact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from models.calibration.conformal import DEFAULT_MAP_RATE, DEFAULT_NG_RATE, DEFAULT_REVIEW_RATE
from models.heads.base import MethodConfig
from models.heads.registry import DEFAULT_METHOD, config_of
from models.imaging.channels import Groups, check_groups, group_of
from models.imaging.preprocess import Preprocessing, Resize, WhiteLevel
from models.imaging.tiling import Tiling
from models.sources.registry import DEFAULT_SOURCE, Normalisation, Precision, spec_of
from trainer.perturb import Change
from trainer.same_part import CHANGES_OF, Same, check_same

AnyMethod = Annotated[SerializeAsAny[MethodConfig], BeforeValidator(config_of)]

TileHeads = Literal["shared", "own", "auto"]
CalibrateBy = Literal["held-out", "folds"]
DEFAULT_FOLDS = 5


class Augmentation(BaseModel):
    """Changed copies of the training images, made once and cached. Held-out images are never changed.

    `same` says under which mirrorings and turns a good part stays a good part (trainer.same_part): each picture is
    taken in all of them. Of each of these `copies` variants are made, turned and scaled at random; the paper's for
    HeadCT have a rotation of 20 degrees and scales of 0.9 to 1.05.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    copies: int = Field(default=1, ge=1, le=64)
    rotation: float = Field(default=0.0, ge=0, le=180)
    scale_low: float = Field(default=1.0, gt=0.25, le=1)
    scale_high: float = Field(default=1.0, ge=1, lt=4)
    same: Same = "none"

    @model_validator(mode="after")
    def _something_varies(self) -> Augmentation:
        if self.copies > 1 and not self.at_random:
            raise ValueError("more than one copy needs a rotation or a range of scales")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """What was recorded before there was `same` stays as it is: artifacts, and results of studies."""
        found: dict[str, object] = handler(self)
        return {name: value for name, value in found.items() if (name, value) != ("same", "none")}

    @property
    def at_random(self) -> bool:
        """Whether images are turned or scaled at random."""
        return self.rotation > 0 or self.scale_low < self.scale_high

    @property
    def varies(self) -> bool:
        """Whether any image is changed at all."""
        return self.at_random or self.same != "none"

    @property
    def images_of_each(self) -> int:
        """How many images are made of one view of a picture."""
        return len(CHANGES_OF[self.same]) * self.copies


class TrainingSettings(BaseModel):
    """Everything that decides what a run gives. The same settings, data and machine give the same artifact.

    `method` holds the settings of the method, discriminated by its name. Held-out images count with their worst score
    under the changes of `calibrate_under`, so that the promise covers them. `split` "groups" keeps near-duplicates on
    one side of the split and counts each group of them once. `view` is what the network sees of a picture;
    tiles have `tile_side` pixels of the camera (by default `image_size`) and overlap by `tile_overlap` at least (by
    default a quarter). `tile_heads` "shared" is one head for all tiles, "own" one for each, "auto" what tells painted
    defects from good pictures better. `white_level` is the value of white in 16-bit pictures;
    None reads it off the training pictures. `channels` name the groups of channels, NAME or NAME:3; none finds them.
    `tail_fit` fits a tail also where the images that calibrate can promise the NG rate.

    `calibrate_by` "held-out" keeps a share of `hold_out` of the pictures from the fit, and counts the thresholds on
    them. "folds" (cross-conformal, models.calibration.conformal) fits the head to all pictures, and counts on all of
    them: `folds` times it is fitted to all folds but one, to judge the one left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: AnyMethod = Field(default_factory=lambda: config_of({"method": DEFAULT_METHOD}))
    source: str = DEFAULT_SOURCE
    normalisation: Normalisation = "source"
    source_precision: Precision = "float32"
    image_size: int = Field(default=128, ge=32, le=1024, multiple_of=32)
    view: Resize = "stretch"
    tile_side: int | None = Field(default=None, ge=32)
    tile_overlap: int | None = Field(default=None, ge=0)
    tile_heads: TileHeads = "shared"
    seed: int = Field(default=0, ge=0)
    hold_out: float = Field(default=0.2, gt=0, lt=0.9)
    split: Literal["groups", "random"] = "groups"
    calibrate_by: CalibrateBy = "held-out"
    folds: int = Field(default=DEFAULT_FOLDS, ge=2, le=50)
    white_level: WhiteLevel | None = None
    channels: tuple[str, ...] = ()
    augmentation: Augmentation = Augmentation()
    review_rate: float = Field(default=DEFAULT_REVIEW_RATE, gt=0, lt=1)
    ng_rate: float = Field(default=DEFAULT_NG_RATE, gt=0, lt=1)
    map_rate: float = Field(default=DEFAULT_MAP_RATE, gt=0, lt=1)
    calibrate_under: tuple[Change, ...] = ()
    tail_fit: bool = False

    @property
    def groups(self) -> Groups | None:
        """The groups of channels that are named; None where they are to be found."""
        return tuple(group_of(text) for text in self.channels) or None

    def preprocessing(
        self, sixteen_bit_white: WhiteLevel, sizes: Sequence[tuple[int, int]] = (), groups: Groups = ()
    ) -> Preprocessing:
        """How images become input: white level, (width, height) and groups of the training images, as they were found.

        Raises ValueError where tiles are asked for and the images have several sizes, and where they cannot have the
        changed copies that are asked for.
        """
        check_same(self.augmentation.same, sizes, len(groups))
        white = self.white_level or sixteen_bit_white
        return Preprocessing(
            image_size=self.image_size,
            resize=self.view,
            tiles=self._tiling(sizes) if self.view == "tiles" else None,
            sixteen_bit_white=white,
            jpeg="reduced",
            version=2,
            groups=groups,
        )

    def _tiling(self, sizes: Sequence[tuple[int, int]]) -> Tiling:
        if len(sizes) != 1:
            listed = ", ".join(f"{width} x {height}" for width, height in sizes[:4])
            raise ValueError(f"tiles need pictures of one size; these have {len(sizes)}: {listed}")
        side = self.tile_side or self.image_size
        overlap = side // 4 if self.tile_overlap is None else self.tile_overlap
        return Tiling(side=side, overlap=overlap, width=sizes[0][0], height=sizes[0][1], version=2)

    @field_validator("channels")
    @classmethod
    def _groups_that_go_together(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        check_groups([group_of(text) for text in texts])
        return texts

    @field_validator("source")
    @classmethod
    def _a_source_that_there_is(cls, name: str) -> str:
        spec_of(name)
        return name

    @model_validator(mode="after")
    def _tiles_where_they_are_asked_for(self) -> Self:
        if self.view != "tiles" and (self.tile_side is not None or self.tile_overlap is not None):
            raise ValueError('tile_side and tile_overlap go with view = "tiles"')
        return self

    @model_validator(mode="after")
    def _folds_where_they_are_asked_for(self) -> Self:
        if self.calibrate_by != "folds" and self.folds != DEFAULT_FOLDS:
            raise ValueError(f'{self.folds} folds go with calibrate_by = "folds"')
        return self

    @model_serializer(mode="wrap")
    def _without_folds_where_there_are_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """What was recorded before there were folds stays as it is: artifacts, and results of studies."""
        found: dict[str, object] = handler(self)
        added = () if self.calibrate_by == "folds" else ("calibrate_by", "folds")
        return {name: value for name, value in found.items() if name not in added}
