"""Writes an artifact folder whole or not at all, checked as a loader would before it takes its place."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch

from models import atomic_file
from models.artifact.manifest import MANIFEST, MASK, SUMS, TENSORS, ArtifactNotWritten, Manifest
from models.artifact.read import Artifact, load_artifact, sums_text
from models.heads.base import Head
from models.imaging.regions import Regions


def write_artifact(
    path: Path, manifest: Manifest, head: Head, golden: Sequence[bytes], regions: Regions | None = None
) -> Artifact:
    """Writes the folder `path`; a folder of that name is replaced. Returns the artifact as it was read again.

    `golden` are PNG files in the order of `manifest.golden`, `regions` those that `manifest.regions` tells of.

    Raises ArtifactNotWritten when the disk is full and the like;
    then nothing of `path` has changed.
    """
    contents = {
        MANIFEST: (manifest.model_dump_json(indent=2) + "\n").encode(),
        TENSORS: safetensors.torch.save(head.tensors(), metadata={"method": manifest.method}),
        **{record.file: data for record, data in zip(manifest.golden, golden, strict=True)},
    }
    if regions is not None:
        contents[MASK] = regions.as_png()
    contents[SUMS] = sums_text({name: hashlib.sha256(data).hexdigest() for name, data in contents.items()})
    try:
        with atomic_file.replace_folder(path) as beside:
            for name, data in contents.items():
                (beside / name).parent.mkdir(exist_ok=True)
                (beside / name).write_bytes(data)
            found = load_artifact(beside)
    except OSError as error:
        raise ArtifactNotWritten(path, f"cannot be written: {error.strerror or error}") from error
    return dataclasses.replace(found, path=path)
