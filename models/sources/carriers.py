"""Reads source weights out of the packages that carry them, without importing (and so running) those packages."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.sources.registry import Carrier
from models.sources.vgg16 import convolution_names


def read_carrier(carrier: Carrier) -> dict[str, Tensor]:
    """The tensors in the carrier's file, by their published names.

    Raises ImportError where the package (or the reader of its format) is not installed, OSError or KeyError where its
    file is not the expected one.
    """
    try:
        file = Path(str(metadata.distribution(carrier.distribution).locate_file(carrier.file)))
    except metadata.PackageNotFoundError as error:
        raise ImportError(f"{carrier.distribution} is not installed") from error
    if file.suffix == ".onnx":
        return _vgg16_of_keras(file)
    try:
        loaded: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files end in a dozen kinds of errors, pickle's own among them
        raise OSError(f"{file}: cannot be read: {error}") from error
    return loaded


def _vgg16_of_keras(file: Path) -> dict[str, Tensor]:
    """The Oxford convolutions in the ONNX file of a Keras VGG-16."""
    import onnx  # only here: the service itself does not need it
    import onnx.numpy_helper

    initialisers = {tensor.name: tensor for tensor in onnx.load(str(file)).graph.initializer}
    tensors: dict[str, Tensor] = {}
    for prefix, name in convolution_names():
        stem = f"functional_1/block{name[4]}_conv{name[6]}_1"
        weight = onnx.numpy_helper.to_array(initialisers[f"{stem}/convolution/ReadVariableOp:0"])
        bias = onnx.numpy_helper.to_array(initialisers[f"{stem}/Squeeze:0"])
        if name == "conv1_1":
            weight = weight[:, ::-1]  # Keras feeds BGR, we feed RGB
        tensors[f"{prefix}.weight"] = torch.from_numpy(np.array(weight))
        tensors[f"{prefix}.bias"] = torch.from_numpy(np.array(bias).reshape(-1))
    return tensors
