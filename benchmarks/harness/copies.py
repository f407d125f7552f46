"""One artifact in; as many products as wanted out, each with a name and a cloner of its own."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import torch

from models.artifact import Artifact, GoldenRecord, write_artifact
from models.backends.pool import SourcePool
from models.detector import Detector
from models.imaging.decode import decode_image

NOISE = 0.01  # of each tensor's own size: enough that no two cloners are equal


def write_copies(artifact: Artifact, root: Path, count: int) -> list[str]:
    """Writes `root`/p00, p01, ... and returns their names; the golden scores are those of the changed cloners."""
    device = torch.device("cpu")
    pool = SourcePool(device)
    pool.require(artifact.source, artifact.workload)
    return [_write_copy(artifact, root, f"p{number:02}", number, Detector(device, pool)) for number in range(count)]


def _write_copy(artifact: Artifact, root: Path, name: str, seed: int, detector: Detector) -> str:
    head = copy.deepcopy(artifact.head)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(1 + NOISE * torch.randn(parameter.shape, generator=chance))
    files = [(artifact.path / record.file).read_bytes() for record in artifact.manifest.golden]
    judge = replace(artifact.judge, head=head)
    judgements = judge.judge_all(detector, [judge.prepare(decode_image(data)) for data in files], wants_map=True)
    golden = tuple(
        GoldenRecord(file=record.file, score=judged.score, map_peak=float(judged.map.max()))
        for record, judged in zip(artifact.manifest.golden, judgements, strict=True)
        if judged.map is not None
    )
    manifest = artifact.manifest.model_copy(update={"product": name, "golden": golden})
    write_artifact(root / name, manifest, head, files, artifact.regions)
    return name
