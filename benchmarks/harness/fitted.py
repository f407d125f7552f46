"""Fits a head to prepared pictures, without an artifact around it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from models.backends.pool import SourcePool, source_key
from models.heads.base import Head, MethodConfig, to_device
from models.heads.registry import method_of
from models.imaging.preprocess import Prepared
from models.sources.registry import spec_of
from trainer.activations import ActivationStore
from trainer.fit_run import TrainingRun
from trainer.good_parts import StoredParts
from trainer.quiet import QuietDisplay

CPU = torch.device("cpu")


def fitted_head(config: MethodConfig, images: Sequence[Prepared], pool: SourcePool, source: str) -> Head:
    """A head of that method on the CPU; `pool` has the source."""
    spec, method = spec_of(source), method_of(config.method)
    backend = pool.require(source_key(source, "source", None))
    with ExitStack() as opened:
        work = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        store = opened.enter_context(
            ActivationStore(
                *(len(images), images[0].shape[-1], backend, spec, method.needs(config, spec).taps), folder=work
            )
        )
        store.fill(iter(images))
        parts = StoredParts(store, range(len(images)), CPU, opened)
        return to_device(method.fit(config, parts, TrainingRun(CPU, 0, QuietDisplay(), work, "")), CPU)
