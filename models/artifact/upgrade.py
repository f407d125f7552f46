"""Reads manifests of earlier schema versions as the present one; what they say of a score stays the same.

1 -> 2    source.weights (a name of torchvision's) becomes source.name (a name of models.sources.registry);
          the map's rate moves from the training's settings into the calibration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.artifact.manifest import SCHEMA_VERSION
from models.sources.registry import spec_of

Raw = dict[str, object]


def upgraded(raw: Raw) -> Raw:
    """The manifest as the present version has it. Raises ValueError for a version that is unknown, newer ones too."""
    version = raw.get("schema_version")
    while version != SCHEMA_VERSION:
        step = STEPS.get(version) if isinstance(version, int) else None
        if step is None:
            known = ", ".join(str(one) for one in (*STEPS, SCHEMA_VERSION))
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            hint = ": a newer release made it, which is needed here, too" if newer else ""
            raise ValueError(f"has schema version {version}; this version reads {known}{hint}")
        raw = step(raw)
        version = raw["schema_version"]
    return raw


def _from_1(raw: Raw) -> Raw:
    source = raw.get("source")
    if not isinstance(source, Mapping) or not isinstance(source.get("weights"), str):
        raise ValueError("source.weights: a name is missing")
    rest = {name: value for name, value in source.items() if name != "weights"}
    new = {**raw, "schema_version": 2, "source": {"name": spec_of(source["weights"]).name, **rest}}
    settings = training.get("settings") if isinstance(training := raw.get("training"), Mapping) else None
    calibration = raw.get("calibration")
    if isinstance(settings, Mapping) and "map_rate" in settings and isinstance(calibration, Mapping):
        new["calibration"] = {**calibration, "map_rate": settings["map_rate"]}
    return new


STEPS: Mapping[int, Callable[[Raw], Raw]] = {1: _from_1}
