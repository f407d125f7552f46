"""Focus Your Distribution as a method: coarse alignment, fine alignment, then a Gaussian for each place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat

import torch
from torch import Tensor

from models.heads.base import FitRun, GoodParts, Method, SourceNeeds, taps_of
from models.heads.fyd.coarse import PictureAlignment
from models.heads.fyd.config import FydConfig, FydRecord
from models.heads.fyd.fine import FineAlignment, FineNetwork
from models.heads.fyd.head import FydHead, load_head
from models.heads.fyd.pose import turned
from models.heads.parts.gaussians import PlaceMoments, whitening_factor
from models.heads.parts.patches import channels_of, middle_tap, random_mixtures
from models.sources.registry import Activations, SourceSpec

MUCH_OUT_OF_VIEW = 0.01  # of a picture
MUCH_LEFT = 0.9  # of the pictures' difference: alignment has found no common pose


class FydMethod(Method[FydConfig]):
    """See the module, and models.heads.base.Method."""

    name = "fyd"
    title = "Focus Your Distribution (Zheng et al., 2021), on the shared source"
    when = "rigid parts that lie a little turned or shifted; trained in minutes, align_image doubles the source pass"
    Config = FydConfig

    def needs(self, config: FydConfig, source: SourceSpec) -> SourceNeeds:
        """The taps whose features are taken, of the turned images as well with `align_image`."""
        return SourceNeeds(taps_of(config.taps, source), further_pass=config.align_image)

    def fit(self, config: FydConfig, parts: GoodParts, run: FitRun) -> FydHead:
        """Two trainings one after the other, then one look at the images."""
        taps = self.needs(config, parts.source).taps
        torch.manual_seed(run.seed)
        deepest = max(taps, key=lambda tap: parts.source.taps[tap].stride)
        scales = parts.rms()
        coarse, as_they_are = None, parts
        if config.align_image:
            coarse = PictureAlignment(deepest, parts.source.taps[deepest].channels, scales[deepest])
            parts = _aligned(coarse, config, parts, run)
        record = FydRecord(
            source=parts.source.name,
            taps=taps,
            tap_scales=tuple(scales[tap] for tap in taps),
            grid_tap=middle_tap(taps, parts.source),
            pose_tap=deepest,
            align_image=config.align_image,
            align_features=config.align_features,
        )
        channels = channels_of(taps, parts.source)
        projection = random_mixtures(channels, config.dimensions, run.generator("fyd mixtures")).half()
        network = FineNetwork(projection.shape[1], config.align_features)
        about = f"{config.fingerprint} {coarse.mark() if coarse else 'as they are'}"
        fine = FineAlignment(network, projection, taps, record.grid_tap, record.tap_scales, about)
        run.train(fine, parts, config)
        mean, factor = _gaussians(fine, network, parts, config.regularisation)
        head = FydHead(record, coarse.pose if coarse else None, network, (projection, mean.half(), factor.half()))
        _tell_out_of_view(head.eval(), as_they_are, parts if coarse else None, run)
        return head

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> FydHead:
        """See Method.load."""
        return load_head(record, tensors)


def _aligned(coarse: PictureAlignment, config: FydConfig, parts: GoodParts, run: FitRun) -> GoodParts:
    """Trains ICA; the parts turned by it, and a word of whether there is a common pose."""
    run.train(coarse, parts, config.model_copy(update={"steps": config.image_steps}))
    left = coarse.left(parts)
    run.note("picture_difference_left", round(left, 3))
    beware = "beware: no common pose was found: " if left > MUCH_LEFT else ""
    run.say(f"{beware}alignment leaves {left:.0%} of the squared difference between pictures")

    @torch.no_grad()
    def change(images: Tensor, activations: Activations) -> Tensor:
        return turned(images, coarse.poses(activations))

    return parts.changed(change)


def _tell_out_of_view(head: FydHead, parts: GoodParts, turned_parts: GoodParts | None, run: FitRun) -> None:
    """How much of the pictures is turned out of view: no verdict is about that part of them."""
    shares = []
    further: Iterator[Activations | None] = repeat(None)
    if turned_parts is not None:
        further = (activations for _, activations in turned_parts.batches())
    for (_, activations), again in zip(parts.batches(), further, strict=False):
        shares.append(head.out_of_view(activations, again))
    most = float(torch.cat(shares).max())
    run.note("out_of_view_most", round(most, 4))
    if most > MUCH_OUT_OF_VIEW:
        run.say(
            f"beware: alignment turns up to {most:.0%} of a picture out of view, and no verdict is about that part: "
            "align_image=false and align_features=false judge all of it"
        )


@torch.no_grad()
def _gaussians(
    fine: FineAlignment, network: FineNetwork, parts: GoodParts, regularisation: float
) -> tuple[Tensor, Tensor]:
    """Mean (P, D) and whitening factor (P, D, D) of the projected features."""
    moments = None
    for _, activations in parts.batches():
        projected, _ = network(fine.features(activations))
        vectors = projected.permute(0, 2, 3, 1).flatten(1, 2)
        moments = moments or PlaceMoments(vectors.shape[1], vectors.shape[2])
        moments.add(vectors)
    assert moments is not None  # there are parts
    mean, covariance = moments.by_place()
    level = float(covariance.diagonal(dim1=1, dim2=2).mean())
    return mean, whitening_factor(covariance, max(regularisation * level, 1e-6))
