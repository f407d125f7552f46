"""SimpleNet as a method: noise is chosen, a discriminator is trained for a fixed number of steps, and folded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Method, SourceNeeds, taps_of
from models.heads.parts.by_picture import ByPicture
from models.heads.parts.moments import Moments
from models.heads.parts.patches import channels_of, middle_tap, patch_features
from models.heads.simplenet.config import SimplenetConfig, SimplenetRecord
from models.heads.simplenet.head import SimplenetHead, load_head
from models.heads.simplenet.network import AdaptedDiscriminator
from models.heads.simplenet.noise import MOST_PATCHES, usual_noise
from models.heads.simplenet.training import SimplenetTrainable
from models.sources.registry import SourceSpec


class SimplenetMethod(Method[SimplenetConfig]):
    """See the module, and models.heads.base.Method."""

    name = "simplenet"
    title = "SimpleNet (Liu et al., CVPR 2023)"
    when = "a few milliseconds an image and a small head; takes a training of minutes"
    Config = SimplenetConfig

    def needs(self, config: SimplenetConfig, source: SourceSpec) -> SourceNeeds:
        """The taps whose features are taken."""
        return SourceNeeds(taps_of(config.taps, source))

    def fit(self, config: SimplenetConfig, parts: GoodParts, run: FitRun) -> SimplenetHead:
        """One look at the images for whitening and noise, then the training, which stops where `steps` says."""
        taps, rms = taps_of(config.taps, parts.source), parts.rms()
        record = SimplenetRecord(
            taps=taps,
            tap_scales=tuple(rms[tap] for tap in taps),
            grid_tap=middle_tap(taps, parts.source),
            noise=1.0 if config.noise == "auto" else config.noise,
        )
        features, whitening = _look(record, config, parts, run)
        if config.noise == "auto":
            noise = usual_noise(features, ByPicture.of(parts), run.generator("simplenet noise"))
            record = record.model_copy(update={"noise": noise})
        run.note("noise", record.noise)
        run.say(f"noise of standard deviation {record.noise:.3g} on adapted features")
        channels = channels_of(taps, parts.source)
        network = AdaptedDiscriminator(channels, config.hidden, run.generator("simplenet weights"))
        seed = run.generator("simplenet steps").initial_seed()
        trainable = SimplenetTrainable(config, record, network, seed, whitening).to(run.device)
        run.train(trainable, parts, config)
        return SimplenetHead(record, *network.folded(trainable.mean, trainable.matrix))

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> SimplenetHead:
        """See Method.load."""
        return load_head(record, tensors)


@torch.no_grad()
def _look(
    record: SimplenetRecord, config: SimplenetConfig, parts: GoodParts, run: FitRun
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Some patches of each image (images, places, C), whitened where it is asked for, and what whitens."""
    generator = run.generator("simplenet patches")
    each = -(-2 * MOST_PATCHES // parts.count)
    moments, drawn = Moments(), []
    for _, activations in parts.batches():
        features = patch_features(activations, record.taps, record.grid_tap, record.tap_scales).flatten(1, 2)
        if config.whiten:
            moments.add(features)
        drawn.append(features[:, torch.randperm(features.shape[1], generator=generator)[:each].to(features.device)])
    found = torch.cat(drawn)
    if not config.whiten:
        return found, None
    mean, matrix = moments.whitening()
    return (found - mean.float()) @ matrix.float(), (mean, matrix)
