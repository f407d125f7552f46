"""A served artifact and its manifest in; its verdicts over HTTP, held against the manifest, out; standard library."""

from __future__ import annotations

import base64
import json
import struct
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.trial.commands import TrialError

# models.artifact allows a golden score this share of the spread of good scores; read here without importing torch.
TOLERANCE = 0.02
PNG_SIZE = slice(16, 24)  # of a PNG's bytes: width and height, big-endian


@dataclass(frozen=True)
class Expected:
    """A golden image of an artifact and what it was judged when the artifact was made."""

    product: str
    version: str
    picture: Path
    score: float
    tolerance: float
    peak: float
    defect: bool = False


def expected(artifact: Path) -> list[Expected]:
    """Every golden image of the artifact in this folder that is one picture: good ones, one with a painted defect."""
    manifest: dict[str, Any] = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    scores = manifest["calibration"]["scores"]
    tolerance = TOLERANCE * (scores[-1] - scores[0]) + 1e-5 * abs(scores[-1])
    return [
        Expected(
            manifest["product"],
            manifest["version"],
            artifact / golden["file"],
            float(golden["score"]),
            tolerance,
            float(golden["map_peak"]),
            bool(golden.get("defect")),
        )
        for golden in manifest["golden"]
        if golden["file"].endswith(".png")  # a part of several files is a tar, and its map as large as no file of it
    ]


def decision(score: float, review_threshold: float | None, threshold: float) -> str:
    """What a score means; without a review threshold there is no REVIEW."""
    if score > threshold:
        return "NG"
    return "REVIEW" if review_threshold is not None and score > review_threshold else "OK"


def answer(port: int, key: str | None, path: str, data: bytes | None = None) -> dict[str, Any]:
    """The JSON at `path`, by GET or with `data` by POST; raises TrialError for any status but 200."""
    headers = ({"Content-Type": "image/png"} if data is not None else {}) | ({"X-API-Key": key} if key else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            found: dict[str, Any] = json.load(reply)
    except urllib.error.HTTPError as error:
        raise TrialError(f"{path} answers {error.code}: {error.read().decode(errors='replace')}") from error
    return found


def ask(port: int, key: str | None, what: Expected, path: str = "/score") -> dict[str, Any]:
    """The one result for the golden image; raises TrialError for any status but 200."""
    found = answer(port, key, f"{path}?product={what.product}", what.picture.read_bytes())
    result: dict[str, Any] = found["results"][0]
    return result


def refused(port: int, what: Expected) -> int:
    """The status of a request without a key; raises TrialError when it is judged all the same."""
    try:
        ask(port, None, what)
    except TrialError as error:
        if isinstance(error.__cause__, urllib.error.HTTPError):
            return error.__cause__.code
        raise
    raise TrialError("a request without a key was judged")


def checked(result: dict[str, Any], what: Expected) -> str:
    """A line about the verdict; raises TrialError when it is not the one that the artifact's maker got."""
    if result.get("error"):
        raise TrialError(f"the golden image was not judged: {result['error']}")
    if result["artifact"]["version"] != what.version:
        raise TrialError(f"judged by version {result['artifact']['version']}, mounted was {what.version}")
    if abs(result["score"] - what.score) > what.tolerance:
        raise TrialError(f"scores {result['score']:.6g}, should be {what.score:.6g} within {what.tolerance:.2g}")
    should = decision(result["score"], result["review_threshold"], result["threshold"])
    if result["decision"] != should:
        raise TrialError(f"decided {result['decision']}, should be {should}")
    return (
        f"{what.product} {what.version}: {result['decision']}, score {result['score']:.5f} (made with {what.score:.5f})"
    )


def located(result: dict[str, Any], what: Expected) -> str:
    """A line about map and regions of /localize; raises TrialError where they are not those of the artifact's maker.

    The map is a PNG as large as the picture. Where the map's peak was above its threshold, the hottest region has it;
    a peak at the threshold, as that of the good picture that has set it, may be on either side.
    """
    size = struct.unpack(">II", base64.b64decode(result["map"])[PNG_SIZE])
    if size != struct.unpack(">II", what.picture.read_bytes()[PNG_SIZE]):
        raise TrialError(f"the map has {size} pixels, the picture others")
    found = result["regions"]
    threshold, allowed = result["map_scale"]["threshold"], TOLERANCE * what.peak
    if abs(what.peak - threshold) > allowed and (what.peak > threshold) != bool(found):
        raise TrialError(f"{len(found)} regions, although the map's peak was {what.peak:.6g}: {result['map_scale']}")
    if found and abs(found[0]["peak"] - what.peak) > allowed:
        raise TrialError(f"the map's peak is {found[0]['peak']:.6g}, should be {what.peak:.6g}")
    return f"{len(found)} regions" + (f", peak {found[0]['peak']:.5f} (made with {what.peak:.5f})" if found else "")
