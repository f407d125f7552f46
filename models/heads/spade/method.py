"""SPADE as a method: the activations of good pictures are kept as they are, and nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Method, SourceNeeds, taps_of
from models.heads.parts.coreset import coreset
from models.heads.spade.config import SpadeConfig, SpadeRecord
from models.heads.spade.head import SpadeHead, load_head, mean_activations
from models.sources.registry import SourceSpec

MB = 10**6
BYTES = 2  # a number in half precision


class SpadeMethod(Method[SpadeConfig]):
    """See the module, and models.heads.base.Method."""

    name = "spade"
    title = "SPADE (Cohen and Hoshen, 2020, arXiv 2005.02357)"
    when = "sharp maps without a training, where a large bank and some hundred milliseconds an image do no harm"
    Config = SpadeConfig

    def needs(self, config: SpadeConfig, source: SourceSpec) -> SourceNeeds:
        """The taps that are compared, and the one whose mean finds the neighbours."""
        return SourceNeeds(tuple(dict.fromkeys(taps_of((*config.taps, config.image_tap), source))))

    @torch.no_grad()
    def fit(self, config: SpadeConfig, parts: GoodParts, run: FitRun) -> SpadeHead:
        """One look at the images, two where the bank's limit is too small for all of them."""
        *taps, image_tap = taps_of((*config.taps, config.image_tap), parts.source)
        rms = parts.rms()
        record = SpadeRecord(
            taps=tuple(taps),
            tap_scales=tuple(rms[tap] for tap in taps),
            image_tap=image_tap,
            neighbours=config.neighbours,
            image_score=config.image_score,
        )
        each = bytes_per_picture(taps, parts.source, parts.image_size)
        kept = _bounded(parts, max(1, config.bank_limit_mb * MB // each), image_tap, run)
        total = kept.count * each
        run.say(f"the bank holds {kept.count} of {parts.count} good pictures and takes {total / MB:.0f} MB")
        run.note("bank", kept.count)
        run.note("bank_bytes", total)
        return _look(record, kept)

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> SpadeHead:
        """See Method.load."""
        return load_head(record, tensors)


def bytes_per_picture(taps: list[str], source: SourceSpec, image_size: int) -> int:
    """What a good picture takes in the bank."""
    return BYTES * sum(source.taps[tap].channels * (image_size // source.taps[tap].stride) ** 2 for tap in taps)


def _bounded(parts: GoodParts, most: int, image_tap: str, run: FitRun) -> GoodParts:
    """All pictures, or a coreset of `most` by their mean activations."""
    if parts.count <= most:
        return parts
    run.say(f"beware: bank_limit_mb is enough for {most} of {parts.count} pictures; those that differ most are kept")
    means = torch.cat([mean_activations(activations, image_tap) for _, activations in parts.batches()])
    return parts.subset(coreset(means, most, run.generator("spade coreset")).sort().values.tolist())


def _look(record: SpadeRecord, parts: GoodParts) -> SpadeHead:
    pictures: list[Tensor] = []
    banks: dict[str, Tensor] = {}
    start = 0
    for _, activations in parts.batches():
        pictures.append(mean_activations(activations, record.image_tap).cpu())
        stop = start + len(pictures[-1])
        for tap, scale in zip(record.taps, record.tap_scales, strict=True):
            own = (activations[tap].float() / scale).flatten(2).transpose(1, 2)
            if tap not in banks:  # filled in place: two copies of a large bank may be too many
                banks[tap] = torch.empty((parts.count, *own.shape[1:]), dtype=torch.float16)
            banks[tap][start:stop] = own.half().cpu()
        start = stop
    return SpadeHead(record, torch.cat(pictures), banks)
