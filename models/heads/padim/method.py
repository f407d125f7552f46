"""PaDiM as a method: mean and covariance of a random choice of channels at every place, from one look at good parts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Method, SourceNeeds, taps_of
from models.heads.padim.config import PadimConfig, PadimRecord
from models.heads.padim.head import PadimHead, load_head
from models.heads.parts.gaussians import PlaceMoments, mahalanobis, whitening_factor
from models.heads.parts.patches import ChannelChoice, channels_of, middle_tap, patch_features
from models.sources.registry import SourceSpec

ASIDE = 0.2  # of the images, on which the two kinds of covariance are compared
FEWEST_ASIDE = 4


class PadimMethod(Method[PadimConfig]):
    """See the module, and models.heads.base.Method."""

    name = "padim"
    title = "PaDiM (Defard et al., ICPR 2020 workshops)"
    when = "parts that lie still under the camera; fitted in seconds, a few milliseconds an image"
    Config = PadimConfig

    def needs(self, config: PadimConfig, source: SourceSpec) -> SourceNeeds:
        """The taps whose features are taken."""
        return SourceNeeds(taps_of(config.taps, source))

    @torch.no_grad()
    def fit(self, config: PadimConfig, parts: GoodParts, run: FitRun) -> PadimHead:
        """One look at the images; tells whether they lie still enough for a Gaussian at each place."""
        taps = taps_of(config.taps, parts.source)
        total = channels_of(taps, parts.source)
        drawn = torch.randperm(total, generator=run.generator("padim channels"))[: min(config.channels, total)]
        rms = parts.rms()
        record = PadimRecord(
            taps=taps,
            tap_scales=tuple(rms[tap] for tap in taps),
            grid_tap=middle_tap(taps, parts.source),
            covariance=config.covariance,
        )
        channels = drawn.sort().values
        choice = ChannelChoice(channels, record.tap_scales)
        features = torch.cat(
            [
                patch_features(activations, taps, record.grid_tap, choice).flatten(1, 2).cpu()
                for _, activations in parts.batches()
            ]
        )
        _compare(features, config, run)
        moments = PlaceMoments(features.shape[1], features.shape[2])
        moments.add(features)
        mean, covariance = moments.by_place() if config.covariance == "place" else moments.shared()
        factor = whitening_factor(covariance, config.regularisation)
        return PadimHead(record, channels, mean.half(), factor.half())

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> PadimHead:
        """See Method.load."""
        return load_head(record, tensors)


def _compare(features: Tensor, config: PadimConfig, run: FitRun) -> None:
    """Says which covariance describes images that it has not seen better: their log-likelihood under both."""
    count = len(features)
    aside = int(ASIDE * count)
    if aside < FEWEST_ASIDE:
        return
    order = torch.randperm(count, generator=run.generator("padim comparison"))
    moments = PlaceMoments(features.shape[1], features.shape[2])
    moments.add(features[order[aside:]])
    unseen = features[order[:aside]]
    costs = {}
    for kind, (mean, covariance) in (("place", moments.by_place()), ("shared", moments.shared())):
        factor = whitening_factor(covariance, config.regularisation)
        distances = mahalanobis(unseen, mean.float(), factor.float())
        log_volume = -factor.diagonal(dim1=1, dim2=2).log().sum(dim=1).mean()  # half the log determinant
        costs[kind] = float(distances.square().mean() / 2 + log_volume)
    gain = costs["shared"] - costs["place"]
    run.note("place_gain_nats", round(gain, 3))
    better = "place" if gain > 0 else "shared"
    if better == config.covariance:
        run.say(f"covariance {better} describes unseen good parts better, by {abs(gain):.1f} nats a place")
    else:
        why = "they do not lie still" if better == "shared" else "they lie still"
        run.say(f"beware: covariance {better} describes unseen good parts better, by {abs(gain):.1f} nats: {why}")
