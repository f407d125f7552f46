"""The settings of a run from the command line: a TOML file first, then `--method` and `--set`, then the common flags.

seed = 1
image_size = 128
[method]
method = "patchcore"
bank_size = 3000
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.heads.registry import DEFAULT_METHOD, config_of
from models.sources.registry import SOURCES
from trainer.advise.view_size import AutoView
from trainer.config import TrainingSettings

AUTO = "auto"  # a method, a source, or a view and its size, is chosen by trainer.advise
TILES_METHOD = "patchcore"  # whose score is of a place, so that tiles of one picture that differ can be compared
COMMON = frozenset(TrainingSettings.model_fields) - {"method", "augmentation"}


def settings_of(arguments: argparse.Namespace) -> TrainingSettings:
    """Raises ValueError (pydantic's ValidationError among them) that names what is wrong and what there is."""
    values = _from_file(arguments.config) if arguments.config is not None else {}
    method = dict(values.pop("method", {}))
    named = arguments.method or method.get("method", _default_method(arguments, values))
    if named == AUTO:
        if arguments.set_values or len(method) > 1:
            raise ValueError("method auto chooses a method with its settings: give --method NAME to set any of them")
        method, named = {}, DEFAULT_METHOD
    if named != method.get("method", named):
        method = {}  # the file's settings are another method's
    method |= {"method": named, **_assignments(arguments.set_values)}
    values |= {
        name: value
        for name, value in vars(arguments).items()
        if name in COMMON and (value is not None and (value != AUTO or name == "tile_heads"))
    }
    tiled = values.get("view") == "tiles" or arguments.image_size == AUTO
    if values.get("tile_heads", "shared") != "shared" and not tiled:
        raise ValueError("tile_heads go with tiles: give --view tiles, or --image-size auto")
    if values.get("calibrate_by") == "folds" and "hold_out" in values and named != AUTO:
        raise ValueError("hold_out goes with calibrate_by = held-out: by folds all pictures calibrate; give folds")
    augmentation = dict(values.pop("augmentation", {})) | _augmentation(arguments)
    return TrainingSettings.model_validate({**values, "method": config_of(method), "augmentation": augmentation})


def _default_method(arguments: argparse.Namespace, values: dict[str, Any]) -> str:
    tiled = (arguments.view or values.get("view")) == "tiles" or arguments.image_size == AUTO
    return TILES_METHOD if tiled else DEFAULT_METHOD


def wants_auto(arguments: argparse.Namespace) -> bool:
    """Whether the method is left to be chosen, by the flag or by the file."""
    if arguments.method is not None or arguments.config is None:
        return bool(arguments.method == AUTO)
    return bool(_from_file(arguments.config).get("method", {}).get("method") == AUTO)


def sources_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The sources to choose among; none where one is named. Raises ValueError for weights beside auto."""
    if arguments.source != AUTO:
        return ()
    if arguments.source_weights is not None:
        raise ValueError("--source-weights are of one source: name it by --source")
    return tuple(name for name, spec in SOURCES.items() if spec.weights.carrier is not None)


def names_method(arguments: argparse.Namespace) -> bool:
    """Whether flags or file say anything of the method, be it a setting alone."""
    if arguments.method is not None or arguments.set_values:
        return True
    return arguments.config is not None and bool(_from_file(arguments.config).get("method"))


def auto_view(arguments: argparse.Namespace) -> AutoView | None:
    """What chooses view and size where that is asked for. Raises ValueError where it cannot."""
    if arguments.image_size != AUTO:
        if arguments.smallest_defect is not None:
            raise ValueError("--smallest-defect goes with --image-size auto")
        return None
    if arguments.smallest_defect is None:
        raise ValueError("--image-size auto needs --smallest-defect: how wide, in pixels of the camera")
    if any(value is not None for value in (arguments.view, arguments.tile_side, arguments.tile_overlap)):
        raise ValueError("--image-size auto chooses the view as well: give --view and tiles with a size, or none")
    return AutoView(arguments.smallest_defect, arguments.cycle_ms)


def sizes_of(arguments: argparse.Namespace, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The size that is given by flag or file, or all of `sizes`."""
    given = _from_file(arguments.config).get("image_size") if arguments.config is not None else None
    given = arguments.image_size or given
    return sizes if given is None else (int(given),)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not TOML: {error}") from error
    for name in values:
        if name not in TrainingSettings.model_fields:
            near = difflib.get_close_matches(name, TrainingSettings.model_fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TrainingSettings.model_fields)}"
            raise ValueError(f"{file}: there is no setting {name!r}; {hint}")
    if not isinstance(values.get("method", {}), dict):
        raise ValueError(f"{file}: method is a table: [method] with method = {values['method']!r} in it")
    return values


def _assignments(texts: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set takes NAME=VALUE, as steps=500, not {text!r}")
        found[name.strip().replace("-", "_")] = _value(value.strip())
    return found


def _value(text: str) -> object:
    """A TOML value where it reads as one (numbers, true, lists, quoted texts), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _augmentation(arguments: argparse.Namespace) -> dict[str, object]:
    given = {name: getattr(arguments, f"augment_{name}") for name in ("copies", "rotation", "same")}
    if arguments.augment_scale is not None:
        given["scale_low"], given["scale_high"] = arguments.augment_scale
    return {name: value for name, value in given.items() if value is not None}
