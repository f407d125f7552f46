"""Nothing but this checkout in; a trained artifact, real verdicts and demo/answer.png out: `python -m examples.demo`.

photographs -> source weights -> training -> service -> answers, each stage with its time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from examples.demo_defects import PAINTERS
from examples.demo_images import Counts, write_set
from examples.demo_made import MadeArtifact
from examples.demo_service import RunningService, ServiceFailed
from examples.demo_sheet import Column, picture_of, write_sheet
from models.artifact import MANIFEST
from models.sources.weights import SourceWeightsError, cache_folder, load_source_weights

PRODUCT, VERSION = "brick", "1"
METHOD, STEPS = "mkd", 400
# A short run of MKD: larger steps, and an average over fewer of them. Its defaults are made for longer runs.
SHORT_RUN = ("learning_rate=0.003", "average_decay=0.98")
HOLD_OUT = 0.34  # 102 of 300: the least number that can promise a false-reject rate of 1 % is 99
KINDS = ("good", *PAINTERS)
ON_THE_SHEET = ("good", "good", "good", *PAINTERS)  # the first pictures of each kind, not the nicest
STAGES = 5
CHECKPOINT_WITHIN_S = 60


class Judged(NamedTuple):
    """One test picture, what it shows, and its entry of the reply."""

    file: Path
    kind: str
    entry: dict[str, Any]

    @property
    def decision(self) -> str:
        """OK, REVIEW or NG."""
        return str(self.entry["decision"])

    def points_at(self, data: Path) -> bool:
        """Whether the hottest region of the map touches the painted defect."""
        mask = cv2.imread(str(data / "ground_truth" / self.kind / f"{self.file.stem}_mask.png"), cv2.IMREAD_GRAYSCALE)
        if mask is None or not self.entry["regions"]:
            return False
        x, y, width, height = self.entry["regions"][0]["box"]
        return bool(mask[y : y + height, x : x + width].any())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all stages; 0 when the service has answered and stopped well, 1 with a sentence where something failed."""
    options = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    options.add_argument("--out", type=Path, default=Path("demo"), help="folder that is written [demo]")
    options.add_argument("--method", default=METHOD, help=f"what judges; `mkd-train methods` lists them [{METHOD}]")
    options.add_argument("--steps", type=int, default=STEPS, help=f"training steps of mkd [{STEPS}]")
    given = options.parse_args(arguments)
    started = time.monotonic()
    try:
        judged = run(given.out, given.method, given.steps)
    except (ServiceFailed, SourceWeightsError, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"\ndemo: the training ended with exit code {error.returncode}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    print_table(judged, given.out / "data")
    print_what_to_open(given.out, time.monotonic() - started)
    return 0


def run(out: Path, method: str, steps: int) -> list[Judged]:
    """All stages, leaving their files in `out`; every test picture with its verdict."""
    data, artifacts = out / "data", out / "artifacts"
    with stage(1, "photographs: crops of scikit-image's brick wall, defects painted on some"):
        write_set(data, Counts())
    with stage(2, "source weights: VGG-16 as Oxford published it"):
        load_source_weights()
        print(f"      checked and kept in {cache_folder()}")
    with stage(3, f"fitting {method} to good parts only"):
        train(data, artifacts, method, steps)
    with stage(4, "service: start, judge every test picture, stop"):
        judged, reply = ask(artifacts, data, out / "service.log")
    with stage(5, "pictures"):
        write_pictures(out, judged)
        shown = json.dumps(shortened(reply), indent=2)
        (out / "answer.json").write_text(json.dumps(reply, indent=2) + "\n", encoding="utf-8")
    print(f"\nThe answer to one of the pictures (POST /localize?product={PRODUCT}&overlay=true), pictures shortened:\n")
    print(shown)
    return judged


def train(data: Path, artifacts: Path, method: str, steps: int) -> None:
    """`python -m trainer fit`, as a person would call it; nothing where an earlier demo has done the same."""
    command = [sys.executable, "-m", "trainer", "fit", str(data), "--product", PRODUCT, "--out", str(artifacts)]
    command += ["--version", VERSION, "--method", method, "--hold-out", str(HOLD_OUT), "--replace"]
    if method == METHOD:
        command += [part for setting in (f"steps={steps}", *SHORT_RUN) for part in ("--set", setting)]
    made = MadeArtifact(artifacts / PRODUCT / VERSION, artifacts.parent / "made.json", data)
    if made.by(command[1:]):
        print(f"      taken up again: {made.path} was made by the same command; remove it to train anew")
        return
    if (artifacts / PRODUCT / MANIFEST).exists():
        shutil.rmtree(artifacts / PRODUCT)  # of the demo of an earlier release, which made no versions
    print(f"      $ {' '.join(['python', *command[1:]])}", flush=True)
    process = subprocess.Popen(command)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait(CHECKPOINT_WITHIN_S)  # it got the Ctrl-C as well, and saves where it was
        raise
    if code != 0:
        raise subprocess.CalledProcessError(code, command)
    made.note(command[1:])


def ask(artifacts: Path, data: Path, log: Path) -> tuple[list[Judged], dict[str, Any]]:
    """Every test picture's verdict, and the whole reply to a request with one defective picture alone."""
    files = [file for kind in KINDS for file in sorted((data / "test" / kind).glob("*.png"))]
    began = time.monotonic()
    with RunningService(artifacts, log) as service:
        print(f"      ready on {service.url} after {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        entries = [entry for reply in service.localize(PRODUCT, files) for entry in reply["results"]]
        print(f"      {len(entries)} pictures judged and localized in {time.monotonic() - began:.1f} s")
        one = service.localize(PRODUCT, [data / "test" / KINDS[1] / "000.png"])[0]
    print("      SIGTERM: drained and stopped with exit code 0")
    for file, entry in zip(files, entries, strict=True):
        if "error" in entry:
            raise ServiceFailed(f"{file}: {entry['error']['code']}: {entry['error']['detail']}")
    pairs = zip(files, entries, strict=True)
    return [Judged(file, file.parent.name, entry) for file, entry in pairs], one


def write_pictures(out: Path, judged: Sequence[Judged]) -> None:
    """overlays/<kind>_<number>.png for every picture, and the contact sheet answer.png."""
    overlays = out / "overlays"
    shutil.rmtree(overlays, ignore_errors=True)
    overlays.mkdir(parents=True)
    for one in judged:
        picture_of(one.entry["overlay"]).save(overlays / f"{one.kind}_{one.file.name}")
    waiting = {kind: [one for one in judged if one.kind == kind] for kind in KINDS}
    chosen = [waiting[kind].pop(0) for kind in ON_THE_SHEET]
    columns = [Column(one.kind.replace("_", " "), one.file, one.entry) for one in chosen]
    write_sheet(columns, out / "answer.png")


def shortened(value: Any) -> Any:
    """A reply whose base64 pictures are cut, for reading."""
    if isinstance(value, dict):
        return {key: shortened(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shortened(part) for part in value]
    if isinstance(value, str) and len(value) > 200:
        return f"{value[:22]}... ({len(value)} characters)"
    return value


def print_table(judged: Sequence[Judged], data: Path) -> None:
    """Decisions by kind, and in one sentence each what went right and what did not."""
    print(f"\n{'test pictures':<16}{'count':>6}{'OK':>6}{'REVIEW':>8}{'NG':>5}   hottest region on the defect")
    for kind in KINDS:
        rows = [one for one in judged if one.kind == kind]
        counts = [sum(one.decision == decision for one in rows) for decision in ("OK", "REVIEW", "NG")]
        pointing = "" if kind == "good" else f"{sum(one.points_at(data) for one in rows)} of {len(rows)}"
        print(f"{kind.replace('_', ' '):<16}{len(rows):>6}{counts[0]:>6}{counts[1]:>8}{counts[2]:>5}   {pointing}")
    good = [one for one in judged if one.kind == "good"]
    bad = [one for one in judged if one.kind != "good"]
    rejected, doubted = (sum(one.decision == decision for one in good) for decision in ("NG", "REVIEW"))
    found, flagged = (sum(one.decision == decision for one in bad) for decision in ("NG", "REVIEW"))
    missed = len(bad) - found - flagged
    print(f"\nGood parts: {rejected} of {len(good)} rejected (NG), {doubted} more sent to REVIEW.")
    print(f"Defects:    {found} of {len(bad)} found (NG), {flagged} more sent to REVIEW, {missed} missed.")
    print("Test pictures are new photographs of the same wall; no defect was ever seen in training.")


def print_what_to_open(out: Path, seconds: float) -> None:
    """The files to look at and the commands to go on with."""
    print(f"\nDone in {seconds:.0f} s. Open {out / 'answer.png'}: input, map, overlay and decision, side by side.")
    print(f"  {out / 'overlays'}/         the overlay of every test picture")
    print(f"  {out / 'answer.json'}       the answer above in full")
    print(f"  mkd-train evaluate {out / 'artifacts' / PRODUCT} {out / 'data'}    a report with AUROC, curves and maps")
    print(f"  mkd-serve --artifacts {out / 'artifacts'}    serve it, then open the page; it needs no network:")
    print("      http://127.0.0.1:8000/docs  the HTTP interface")
    print("      http://127.0.0.1:8000/ui    verdicts as they happen, review, new thresholds, products")


@contextmanager
def stage(number: int, title: str) -> Iterator[None]:
    """Prints what begins, and how long it took."""
    print(f"\n[{number}/{STAGES}] {title}", flush=True)
    began = time.monotonic()
    yield
    print(f"      {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
