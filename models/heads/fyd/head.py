"""The head of Focus Your Distribution: distances to the Gaussian of each place, after the part was brought to its pose.

    d(x, y) = Mahalanobis distance of z(x, y) to the Gaussian of good parts there     z: aligned and projected features
    score   = highest d of any place
    map     = d, brought to the picture, blurred, and turned back to the camera's pose

With the picture's alignment (ICA) the features are those of a further source pass over the turned picture. What the
turn moves out of the picture is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from models.heads.base import Head, HeadOutput, SourceNeeds
from models.heads.fyd.config import FydRecord
from models.heads.fyd.fine import FineNetwork
from models.heads.fyd.pose import Pose, inverse, joined, out_of_view, turned
from models.heads.parts.gaussians import mahalanobis
from models.heads.parts.maps import patch_map
from models.heads.parts.patches import channels_of, projected_features
from models.sources.registry import Activations, spec_of

GAUSSIANS = ("projection", "mean", "factor")


class FydHead(Head):
    """`projection` (sum of the taps' channels, D), `mean` (P, D) and `factor` (P, D, D), in half precision."""

    method: ClassVar[str] = "fyd"
    record: FydRecord
    projection: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(
        self,
        record: FydRecord,
        picture_pose: Pose | None,
        fine: FineNetwork,
        gaussians: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        super().__init__()
        self.record = record
        self.picture_pose = picture_pose
        self.fine = fine
        for name, tensor in zip(GAUSSIANS, gaussians, strict=True):
            self.register_buffer(name, tensor, persistent=False)
        self._pose_scale = record.tap_scales[record.taps.index(record.pose_tap)]

    @property
    def needs(self) -> SourceNeeds:
        """See Head.needs."""
        return SourceNeeds(self.record.taps, further_pass=self.record.align_image)

    @torch.no_grad()
    def changed(self, images: Tensor, activations: Activations) -> Tensor:
        """The images turned to the common pose."""
        return turned(images, self._picture_poses(activations))

    @torch.no_grad()
    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        """See Head.judge."""
        if self.record.align_image and further is None:
            raise ValueError("the activations of the turned images are needed")
        projected, pose = self.projected(activations if further is None else further)
        rows, _, height, width = projected.shape
        vectors = projected.permute(0, 2, 3, 1).flatten(1, 2)
        distances = mahalanobis(vectors, self.mean, self.factor)
        asked = torch.tensor(list(wants_map), dtype=torch.bool, device=distances.device)
        maps = patch_map(distances.view(rows, height, width)[asked], images.shape[-1])
        pose = self._whole_pose(activations, pose)
        if pose is not None:
            maps = turned(maps[:, None], inverse(pose[asked]))[:, 0] if len(maps) else maps
        return HeadOutput(distances.amax(dim=1), maps)

    def projected(self, activations: Activations) -> tuple[Tensor, Tensor | None]:
        """(B, D, h, w), and the pose (B, 2, 3) by FCA, where there is one."""
        record = self.record
        features = projected_features(activations, record.taps, record.grid_tap, record.tap_scales, self.projection)
        found: tuple[Tensor, Tensor | None] = self.fine(features.permute(0, 3, 1, 2))
        return found

    @torch.no_grad()
    def out_of_view(self, activations: Activations, further: Activations | None = None) -> Tensor:
        """The share of each picture that its turn moves out of view and that is not judged: (B,)."""
        projected, pose = self.projected(activations if further is None else further)
        pose = self._whole_pose(activations, pose)
        return torch.zeros(len(projected)) if pose is None else out_of_view(pose, projected.shape[-1])

    def _whole_pose(self, activations: Activations, fine: Tensor | None) -> Tensor | None:
        """That of the picture and that of its features in one."""
        if not self.record.align_image:
            return fine
        whole = self._picture_poses(activations)
        return whole if fine is None else joined(whole, fine)

    def _picture_poses(self, activations: Activations) -> Tensor:
        assert self.picture_pose is not None
        found: Tensor = self.picture_pose(activations[self.record.pose_tap].float() / self._pose_scale)
        return found

    def tensors(self) -> dict[str, Tensor]:
        """See Head.tensors."""
        found = {name: self.get_buffer(name) for name in GAUSSIANS}
        found |= {f"fine.{name}": tensor for name, tensor in self.fine.state_dict().items()}
        if self.picture_pose is not None:
            found |= {f"picture.{name}": tensor for name, tensor in self.picture_pose.state_dict().items()}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def load_head(stored: Mapping[str, object], tensors: Mapping[str, Tensor]) -> FydHead:
    """See Method.load."""
    record = FydRecord.model_validate(stored)
    source = spec_of(record.source)
    missing = [name for name in GAUSSIANS if name not in tensors]
    if missing:
        raise ValueError(f"the tensors {', '.join(GAUSSIANS)} and those of the networks are expected, and nothing else")
    projection, mean, factor = (tensors[name] for name in GAUSSIANS)
    count = projection.shape[-1]
    if mean.shape[1:] != (count,) or factor.shape != (len(mean), count, count):
        raise ValueError("mean and factor do not fit the projection")
    if len(projection) != channels_of(record.taps, source) or len(record.tap_scales) != len(record.taps):
        raise ValueError("the tensors do not fit the record")
    pose = Pose(source.taps[record.pose_tap].channels) if record.align_image else None
    fine = FineNetwork(count, record.align_features)
    networks = {"fine.": fine} | ({"picture.": pose} if pose is not None else {})
    strange = [name for name in tensors if name not in GAUSSIANS and not name.startswith(tuple(networks))]
    if strange:
        raise ValueError(f"the Gaussians and {', '.join(networks)} are expected, and nothing else: not {strange[0]}")
    for prefix, network in networks.items():
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(f"the tensors do not fit the network {prefix}: {error}; those and nothing else") from error
    return FydHead(record, pose, fine.eval(), (projection, mean, factor))
