"""PaDiM as a method: mean and covariance of reduced patch features at every place, from one look at good parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Method, SourceNeeds, taps_of
from models.heads.candidate import Candidate
from models.heads.padim.config import PadimConfig, PadimRecord
from models.heads.padim.head import PadimHead, load_head
from models.heads.parts.by_picture import ByPicture
from models.heads.parts.gaussians import PlaceMoments, negative_log_likelihood, whitening_factor
from models.heads.parts.patches import channels_of, middle_tap, projected_features, random_mixtures
from models.sources.registry import SourceSpec

ASIDE = 0.2  # of the pictures, on which covariances and regularisations are compared
FEWEST_ASIDE = 4
PAPERS_REGULARISATION = 0.01
MOST_COMPARED = 1 << 26  # numbers in the covariances of all places: half a GiB
REGULARISATIONS = (0.001, 0.003, 0.01, 0.03, 0.1)


class PadimMethod(Method[PadimConfig]):
    """See the module, and models.heads.base.Method."""

    name = "padim"
    title = "PaDiM (Defard et al., ICPR 2020 workshops)"
    when = "parts that lie still under the camera; fitted in seconds, a few milliseconds an image"
    Config = PadimConfig
    own_tiles = True
    candidates: ClassVar[tuple[Candidate, ...]] = (
        Candidate("padim", {"method": "padim"}),
        Candidate("padim, pool3 and pool4", {"method": "padim", "taps": ("pool3", "pool4")}),
        Candidate("padim, shared covariance", {"method": "padim", "covariance": "shared"}),
    )

    def fine_candidates(self, size: int) -> tuple[Candidate, ...]:
        """See Method.fine_candidates."""
        settings = {"method": "padim", "covariance": "shared", "taps": ("pool2", "pool3"), "score_share": 0.001}
        return (Candidate("padim, shared covariance", settings),)

    def needs(self, config: PadimConfig, source: SourceSpec) -> SourceNeeds:
        """The taps whose features are taken."""
        return SourceNeeds(taps_of(config.taps, source))

    @torch.no_grad()
    def fit(self, config: PadimConfig, parts: GoodParts, run: FitRun) -> PadimHead:
        """One look at the images; tells whether they lie still enough for a Gaussian at each place."""
        taps, rms = taps_of(config.taps, parts.source), parts.rms()
        record = PadimRecord(
            taps=taps,
            tap_scales=tuple(rms[tap] for tap in taps),
            grid_tap=middle_tap(taps, parts.source),
            covariance=config.covariance,
            score_share=config.score_share,
        )
        generator = run.generator("padim reduction")
        projection = drawn_projection(config, channels_of(taps, parts.source), generator).half()
        look = (taps, record.grid_tap, record.tap_scales, projection.to(run.device))
        features = torch.cat(
            [projected_features(activations, *look).flatten(1, 2).cpu() for _, activations in parts.batches()]
        )
        regularisation = _regularisation(features, ByPicture.of(parts), config, run)
        mean, covariance = _moments(features, by_place=config.covariance == "place")
        factor = whitening_factor(covariance, regularisation)
        return PadimHead(record, projection, mean.half(), factor.half())

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> PadimHead:
        """See Method.load."""
        return load_head(record, tensors)


def drawn_projection(config: PadimConfig, channels: int, generator: torch.Generator) -> Tensor:
    """(channels, D): orthonormal columns at random, or columns that pick one channel each."""
    count = min(config.dimensions, channels)
    if config.reduction == "channels":
        picked = torch.randperm(channels, generator=generator)[:count].sort().values
        return torch.nn.functional.one_hot(picked, channels).t().float()
    return random_mixtures(channels, count, generator)


def _regularisation(features: Tensor, pictures: ByPicture, config: PadimConfig, run: FitRun) -> float:
    """The given one, or that under which images set aside are likeliest; says where the other covariance is better."""
    fixed = None if config.regularisation == "auto" else config.regularisation
    aside = int(ASIDE * pictures.count)
    if aside < FEWEST_ASIDE:
        return PAPERS_REGULARISATION if fixed is None else fixed
    order = torch.randperm(pictures.count, generator=run.generator("padim comparison")).tolist()
    seen, unseen = (features[pictures.images(some)] for some in (order[aside:], order[:aside]))
    tried = REGULARISATIONS if fixed is None else (fixed,)
    compared = config.covariance == "place" or features.shape[1] * features.shape[2] ** 2 <= MOST_COMPARED
    costs = {}
    for kind in ("place", "shared") if compared else ("shared",):
        fitted = _moments(seen, by_place=kind == "place")
        costs[kind] = min((_cost(unseen, *fitted, one), one) for one in tried)
    if not compared:
        run.note("regularisation", costs["shared"][1])
        run.say("a covariance for each place of so fine a grid takes gigabytes: it is not compared with the shared one")
        return costs["shared"][1]
    gain = costs["shared"][0] - costs["place"][0]
    run.note("place_gain_nats", round(gain, 3))
    run.note("regularisation", costs[config.covariance][1])
    better = "place" if gain > 0 else "shared"
    why = "they lie still" if better == "place" else "they do not lie still"
    beware = "" if better == config.covariance else "beware: "
    run.say(f"{beware}covariance {better} describes unseen good parts better, by {abs(gain):.1f} nats a place: {why}")
    return costs[config.covariance][1]


def _moments(features: Tensor, *, by_place: bool) -> tuple[Tensor, Tensor]:
    """Features (B, P, C) -> mean and covariance, (P, C) and (P, C, C) or (1, C) and (1, C, C)."""
    moments = PlaceMoments(features.shape[1] if by_place else 1, features.shape[2])
    if by_place:
        moments.add(features)
    else:
        for image in features:  # one at a time: they are doubled in precision
            moments.add(image[:, None])
    return moments.by_place()


def _cost(unseen: Tensor, mean: Tensor, covariance: Tensor, regularisation: float) -> float:
    return negative_log_likelihood(unseen, mean, whitening_factor(covariance, regularisation))
