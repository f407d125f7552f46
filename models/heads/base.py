"""The contract of a method: what it needs of the source, how it is fitted to good parts, and the head that comes of it.

A method is a folder `models/heads/NAME/` with a `Method` in it and a line in `models.heads.registry`. Nothing outside
that folder asks which method it is: fitting, serving, evaluation and every surface speak to the classes below.

    Method.needs(config, source) -> SourceNeeds     the taps that are computed, and whether a further pass is needed
    Method.fit(config, parts, run) -> Head          from the activations of good parts
    Head.judge(images, activations, wants_map)      scores and maps of a batch
    Head.tensors(), Head.record -> Method.load()    to the artifact and back
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, get_args, get_origin

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from models.heads.candidate import Candidate
from models.heads.parts.loop_settings import LoopSettings
from models.sources.registry import DEFAULT_SOURCE, Activations, SourceSpec, spec_of

ActivationBatch = tuple[Tensor, Activations]  # images (B, 3, S, S) and the source's activations of the same rows


class SourceNeeds(NamedTuple):
    """What a head asks of the source: `taps` by name, and with `further_pass` the taps of changed images as well."""

    taps: tuple[str, ...]
    further_pass: bool = False


class HeadOutput(NamedTuple):
    """`scores` (B,) float32; `maps` (M, S, S) float32 for the M rows that asked, in their order, on the same device.

    Where a head holds several detectors, `decided` names for each row the one that raised its score most.
    """

    scores: Tensor
    maps: Tensor
    decided: tuple[str, ...] = ()


class Head(nn.Module, ABC):
    """One product's detector on top of the shared source.

    `record` is the head's part of the manifest: with `tensors()` it is all that `Method.load` needs.
    """

    method: ClassVar[str]
    record: BaseModel

    @property
    @abstractmethod
    def needs(self) -> SourceNeeds:
        """The taps that `judge` reads, and whether it asks for a further source pass."""

    @abstractmethod
    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """Images (B, 3, S, S) in [0, 1] and the source's activations of the same rows -> scores and maps.

        `further` are the activations of `changed(images, activations)`, for heads that ask for that pass. A row's
        result depends on that row alone; threads may call at once for other rows. Higher scores and brighter maps mean
        less like the training images.
        """

    def of_view(self, number: int) -> Head:
        """The head that judges that view of a picture; itself, where one is for all views."""
        return self

    def changed(self, images: Tensor, activations: Activations) -> Tensor:
        """The images (B, 3, T, T) whose activations `judge` gets as `further`; only called where `needs` says so.

        They may have another side than the images, the same for all batches of one side.
        """
        raise TypeError(f"the method {self.method} asks for a further source pass and does not say over which images")

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What the artifact stores, contiguous and on the CPU."""

    @property
    def size_bytes(self) -> int:
        """Memory that this head's tensors take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.parameters(), *self.buffers()))


class MethodConfig(BaseModel):
    """Base of every method's settings: what a person may choose, with a default for each.

    Subclasses fix `method` to a literal, which discriminates them (`models.heads.registry.config_of`). A setting that
    holds several values also takes them as one text with commas, as on the command line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str

    @model_validator(mode="before")
    @classmethod
    def _split_texts(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: cls._split(name, value) for name, value in values.items()}

    @classmethod
    def _split(cls, name: str, value: object) -> object:
        field = cls.model_fields.get(name)
        if field is None or not isinstance(value, str) or not _holds_several(field.annotation):
            return value
        return [part.strip() for part in value.split(",") if part.strip() and part.strip() != "none"]


def _holds_several(annotation: object) -> bool:
    return get_origin(annotation) is tuple or any(get_origin(one) is tuple for one in get_args(annotation))


class GoodParts(Protocol):
    """Good parts to fit to, with their source activations. Images that the head judges to calibrate by are never among
    them.

    Activations are cached: reading them again costs a look at a memory-mapped file. Tensors come on the run's device,
    float32 and channels last.
    """

    @property
    def count(self) -> int:
        """Images, augmented copies included."""
        ...

    @property
    def picture_numbers(self) -> Sequence[int]:
        """Of each image the number of the picture that it is a copy of: what sets images aside keeps a picture whole.

        Images that are no copies of one another have numbers of their own.
        """
        ...

    @property
    def image_size(self) -> int:
        """Side S of the images in pixels."""
        ...

    @property
    def source(self) -> SourceSpec:
        """The source network: its taps with strides and channels."""
        ...

    def batch(self, indices: Sequence[int]) -> ActivationBatch:
        """The images of those indices, in that order."""
        ...

    def batches(self, size: int = 16, seed: int | None = None) -> Iterator[ActivationBatch]:
        """All images once: in order, or shuffled by `seed`."""
        ...

    def rms(self) -> dict[str, float]:
        """Root mean square of each tap's activations over the images."""
        ...

    def subset(self, indices: Sequence[int]) -> GoodParts:
        """The same for some of the images, to set a part aside for a choice."""
        ...

    def changed(self, change: Callable[[Tensor, Activations], Tensor]) -> GoodParts:
        """The same images after `change` (as `Head.changed`), through a further source pass."""
        ...


class Trainable(nn.Module, ABC):
    """What the gradient loop trains: a module whose `trained` part is optimised and averaged."""

    @property
    @abstractmethod
    def trained(self) -> nn.Module:
        """The part whose parameters are optimised, and whose weights are averaged over the last steps."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A text that is the same for equal trained weights, given the data and the loop: the settings that decide."""

    def begin(self, images: Tensor, activations: Activations) -> None:
        """Called once before the first step, with its batch."""

    @abstractmethod
    def loss(self, images: Tensor, activations: Activations) -> Tensor:
        """The loss of a batch, a scalar."""

    def optimiser(self, settings: LoopSettings) -> torch.optim.Optimizer:
        """The optimiser of `trained`; each group's learning rate is scaled by the schedule."""
        return torch.optim.Adam(self.trained.parameters(), lr=settings.learning_rate)


class Bar(Protocol):
    """A progress bar."""

    def update(self, done: int, note: str = "") -> None:
        """So much is done of the total."""


class FitRun(Protocol):
    """The run that a method is fitted in: its device and seed, what it tells, and the gradient loop."""

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        ...

    @property
    def seed(self) -> int:
        """Everything random follows from it."""
        ...

    def generator(self, purpose: str) -> torch.Generator:
        """A CPU generator seeded by the run's seed and the purpose."""
        ...

    def say(self, text: str) -> None:
        """Tells a person one line."""
        ...

    def note(self, name: str, value: object) -> None:
        """Records what was measured or chosen in the artifact (`training.outcome`)."""
        ...

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        """Trains with checkpoints, resumption and averaged weights; leaves `trainable` trained, in evaluation mode.

        Raises FitDiverged where the loss is no longer a number.
        """
        ...


class FitDiverged(Exception):
    """The loss of a gradient method is no longer a number."""


C = TypeVar("C", bound=MethodConfig)


class Method(ABC, Generic[C]):
    """One way to judge parts. `when` is one line on when to take it; `title` names it with its paper.

    `own_tiles` says that its maps say how unusual a place is in a unit that a level per head brings together, and that
    a fit is one look: then each tile of a picture may have a head of its own (models.heads.per_tile). `candidates` are
    what `mkd-train auto` and `advise` try of it; of two that painted defects cannot tell apart the first is taken.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    when: ClassVar[str]
    Config: ClassVar[type[MethodConfig]]
    own_tiles: ClassVar[bool] = False
    candidates: ClassVar[tuple[Candidate, ...]] = ()

    @abstractmethod
    def needs(self, config: C, source: SourceSpec) -> SourceNeeds:
        """What is computed of the source for this configuration. Raises ValueError for taps that it does not have."""

    def fine_candidates(self, size: int) -> tuple[Candidate, ...]:
        """What is tried in place of `candidates` for small defects on pictures seen whole at `size` pixels."""
        return ()

    @abstractmethod
    def fit(self, config: C, parts: GoodParts, run: FitRun) -> Head:
        """The head of these good parts, on any device."""

    def fit_again(self, config: C, head: Head, parts: GoodParts, run: FitRun) -> Head:
        """A head of `parts`, some of those that `head` was fitted to: to see what is usual on the others.

        A method that is trained step by step may keep the trained weights of `head`, and take anew from `parts` only
        what costs one look at them.
        """
        return self.fit(config, parts, run)

    def for_one_tile(self, config: C, tiles: int) -> C:
        """The settings of the head of one tile of so many, where `config` is that of one head for all of them."""
        return config

    @abstractmethod
    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Head:
        """The head of a stored record and its tensors. Raises ValueError where the two do not fit."""


def taps_of(taps: Sequence[str], source: SourceSpec) -> tuple[str, ...]:
    """The source's own taps for those names; a name of VGG-16's stands for another source's tap of the same stride.

    So a method's default taps serve every source. Raises ValueError that lists what there is.
    """
    default = spec_of(DEFAULT_SOURCE).taps
    by_stride = {tap.stride: name for name, tap in source.taps.items()}
    found = []
    for name in taps:
        own = name if name in source.taps else by_stride.get(default[name].stride) if name in default else None
        if own is None:
            raise ValueError(f"the source {source.name} has no tap {name!r}; it has {', '.join(source.taps)}")
        found.append(own)
    return tuple(found)


def to_device(head: Head, device: torch.device) -> Head:
    """The head on its device, frozen and in evaluation mode."""
    return head.to(device).eval().requires_grad_(False)
