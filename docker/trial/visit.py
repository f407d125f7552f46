"""A served artifact and its manifest in; the verdict over HTTP, held against the manifest, out; standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.trial.commands import TrialError

# models.artifact allows a golden score this share of the spread of good scores; read here without importing torch.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Expected:
    """A golden image of an artifact and what it was judged when the artifact was made."""

    product: str
    version: str
    picture: Path
    score: float
    tolerance: float


def expected(artifact: Path) -> Expected:
    """The first golden image of the artifact in this folder."""
    manifest: dict[str, Any] = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    scores, golden = manifest["calibration"]["scores"], manifest["golden"][0]
    tolerance = TOLERANCE * (scores[-1] - scores[0]) + 1e-5 * abs(scores[-1])
    return Expected(
        manifest["product"], manifest["version"], artifact / golden["file"], float(golden["score"]), tolerance
    )


def decision(score: float, review_threshold: float | None, threshold: float) -> str:
    """What a score means; without a review threshold there is no REVIEW."""
    if score > threshold:
        return "NG"
    return "REVIEW" if review_threshold is not None and score > review_threshold else "OK"


def ask(port: int, key: str | None, what: Expected) -> dict[str, Any]:
    """The one result of POST /score for the golden image; raises TrialError for any status but 200."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/score?product={what.product}",
        data=what.picture.read_bytes(),
        headers={"Content-Type": "image/png"} | ({"X-API-Key": key} if key else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
    except urllib.error.HTTPError as error:
        raise TrialError(f"POST /score answers {error.code}: {error.read().decode(errors='replace')}") from error
    result: dict[str, Any] = answer["results"][0]
    return result


def refused(port: int, what: Expected) -> int:
    """The status of the same request without a key; raises TrialError when it is judged all the same."""
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
