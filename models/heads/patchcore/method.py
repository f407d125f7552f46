"""PatchCore as a method: a coreset of the patches of good parts, whitened, and nothing to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Method, SourceNeeds, taps_of
from models.heads.candidate import Candidate
from models.heads.parts.coreset import coreset, projection
from models.heads.parts.moments import Moments
from models.heads.parts.patches import middle_tap, patch_features
from models.heads.patchcore.config import PatchcoreConfig, PatchcoreRecord
from models.heads.patchcore.head import PatchcoreHead, load_head, whitened
from models.sources.registry import SourceSpec

LEAST_BANK = 200  # patches that the head of one tile keeps


class PatchcoreMethod(Method[PatchcoreConfig]):
    """See the module, and models.heads.base.Method."""

    name = "patchcore"
    title = "PatchCore (Roth et al., CVPR 2022), on whitened patches"
    when = "small defects, parts that may be turned; fitted in seconds, tens of milliseconds an image"
    Config = PatchcoreConfig
    own_tiles = True
    candidates: ClassVar[tuple[Candidate, ...]] = (
        Candidate("patchcore", {"method": "patchcore"}),
        Candidate("patchcore, pool2 and pool3", {"method": "patchcore", "taps": ("pool2", "pool3")}),
    )

    def fine_candidates(self, size: int) -> tuple[Candidate, ...]:
        """See Method.fine_candidates."""
        return (
            Candidate("patchcore", {"method": "patchcore"}),
            Candidate("patchcore, pool3", {"method": "patchcore", "taps": ("pool3",), "score_share": 0.001}),
        )

    def needs(self, config: PatchcoreConfig, source: SourceSpec) -> SourceNeeds:
        """The taps whose features are taken."""
        return SourceNeeds(taps_of(config.taps, source))

    @torch.no_grad()
    def fit(self, config: PatchcoreConfig, parts: GoodParts, run: FitRun) -> PatchcoreHead:
        """One look at the images: moments of all patches, and the patches that may be kept; then the coreset."""
        taps = taps_of(config.taps, parts.source)
        rms = parts.rms()
        record = PatchcoreRecord(
            taps=taps,
            tap_scales=tuple(rms[tap] for tap in taps),
            grid_tap=middle_tap(taps, parts.source),
            whiten=config.whiten,
            reweight=config.reweight,
            neighbours=config.neighbours,
            score_share=config.score_share,
        )
        candidates, moments = _look(record, config, parts, run)
        mean, matrix = moments.whitening() if config.whiten else (None, None)
        generator = run.generator("patchcore coreset")
        directions = projection(candidates.shape[1], generator).to(candidates)
        if matrix is not None:  # distances of whitened patches, of which the kept ones alone are ever made
            directions = matrix.float() @ directions
        kept = coreset((candidates - candidates.mean(dim=0)) @ directions, config.bank_size, generator)
        bank = candidates[kept] if mean is None else whitened(candidates[kept], mean, matrix)
        run.note("bank", len(kept))
        run.note("candidates", len(candidates))
        return PatchcoreHead(record, bank.half(), mean, matrix)

    def for_one_tile(self, config: PatchcoreConfig, tiles: int) -> PatchcoreConfig:
        """The banks of all tiles together are as large as one for all of them, but for LEAST_BANK each."""
        bank = min(config.bank_size, max(LEAST_BANK, -(-config.bank_size // tiles)))
        return config.model_copy(update={"bank_size": bank, "candidates": max(bank, -(-config.candidates // tiles))})

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> PatchcoreHead:
        """See Method.load."""
        return load_head(record, tensors)


def _look(record: PatchcoreRecord, config: PatchcoreConfig, parts: GoodParts, run: FitRun) -> tuple[Tensor, Moments]:
    """As many random patches of each image, `candidates` in all, and the moments of all patches."""
    generator = run.generator("patchcore candidates")
    each = -(-config.candidates // parts.count)
    moments, drawn = Moments(), []
    for _, activations in parts.batches():
        features = patch_features(activations, record.taps, record.grid_tap, record.tap_scales).flatten(1, 2)
        if config.whiten:
            moments.add(features)
        drawn += [image[torch.randperm(len(image), generator=generator)[:each].to(image.device)] for image in features]
    return torch.cat(drawn)[: max(config.candidates, config.bank_size)], moments
