"""Images a second by the Open Inference Protocol's binary form against multipart, in one interleaved run.

Four kinds of request of the same pictures take turns, in alternating order: multipart with PNG files; the binary
extension with the same files as BYTES; with their pixels as one UINT8 tensor; and the protocol's plain JSON. The client
shares the machine. Beside the rate the service's processor time an image is taken, which other work on the machine
moves less.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.harness.connection import post, post_images
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess
from models.imaging.decode import decode_image

MULTIPART, BYTES, PIXELS, PLAIN = "multipart", "binary, BYTES", "binary, UINT8", "JSON, BYTES"
OUTPUTS = ("score", "decision")
REQUESTS = 8  # different ones


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the binary forms are no slower."""
    options = options_of(__doc__)
    options.add_argument("--batch", type=int, default=8, help="images in a request [8]")
    options.add_argument("--clients", type=int, default=4, help="[4]")
    options.add_argument("--rounds", type=int, default=5, help="[5]")
    options.add_argument("--requests", type=int, default=60, help="of each turn [60]")
    given = options.parse_args(arguments)
    where = machine()
    results, bars = measure(given)
    return report("open_inference", given, where, results, bars)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """All rounds."""
    files = pictures(REQUESTS * given.batch)
    with (
        served_folder(given.artifact) as (folder, artifact),
        ServiceProcess(folder, "--max-wait-s", "0", "--deadline-ms", "60000") as service,
    ):
        groups = [files[start::REQUESTS] for start in range(REQUESTS)]
        requests = {kind: [form(artifact.manifest.product, group) for group in groups] for kind, form in FORMS.items()}
        rates: dict[str, list[float]] = {kind: [] for kind in requests}
        spent: dict[str, list[float]] = {kind: [] for kind in requests}
        for number in range(given.rounds):
            for kind in list(requests) if number % 2 == 0 else reversed(requests):
                before = service.cpu_seconds()
                tally = run(closed_loop(service.port, requests[kind], clients=given.clients, count=given.requests))
                rates[kind].append(given.batch * requests_per_second(tally))
                spent[kind].append(1000 * (service.cpu_seconds() - before) / (given.batch * given.requests))
            print(f"round {number + 1}: " + ", ".join(f"{kind} {found[-1]:.1f}/s" for kind, found in rates.items()))
    others = [kind for kind in rates if kind != MULTIPART]
    ratios = {kind: _ratios(rates[kind], rates[MULTIPART]) for kind in others}
    saved = {kind: _ratios(spent[MULTIPART], spent[kind]) for kind in others}
    results: dict[str, object] = {"picture": f"PNG, RGB, {SIDE} px"}
    results |= {f"{kind}: images/s": spread(found) for kind, found in rates.items()}
    results |= {f"{kind}: to multipart": spread(found) for kind, found in ratios.items()}
    results |= {f"{kind}: processor ms an image": spread(found) for kind, found in spent.items()}
    results |= {f"{kind}: multipart's processor time to its": spread(found) for kind, found in saved.items()}
    bars = [Bar(f"{kind} to multipart", statistics.median(ratios[kind]), ">=", 0.97) for kind in (BYTES, PIXELS)]
    bars += [
        Bar(f"multipart's processor time to that of {kind}", statistics.median(saved[kind]), ">=", 0.97)
        for kind in (BYTES, PIXELS)
    ]
    return results, bars


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(above, below, strict=True)]


def requests_per_second(tally: Tally) -> float:
    """Between the first answer and the last. Raises RuntimeError where a request was not judged."""
    if tally.unanswered or set(tally.statuses) != {200}:
        raise RuntimeError(f"not every request was judged: {tally.statuses}, {tally.unanswered[:3]}")
    at = sorted(seen.at for seen in tally.answers)
    return (len(at) - 1) / (at[-1] - at[0])


def multipart(product: str, files: Sequence[bytes]) -> bytes:
    """/score."""
    return post_images(f"/score?product={product}", files)


def as_bytes(product: str, files: Sequence[bytes]) -> bytes:
    """Encoded images as they are, each after its length (4 bytes, little-endian)."""
    data = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    return binary(product, {"datatype": "BYTES", "shape": [len(files)]}, data)


def as_pixels(product: str, files: Sequence[bytes]) -> bytes:
    """One tensor (N, H, W, 3) of RGB."""
    pixels = np.stack([decode_image(file) for file in files])
    return binary(product, {"datatype": "UINT8", "shape": list(pixels.shape)}, pixels.tobytes())


def as_json(product: str, files: Sequence[bytes]) -> bytes:
    """Encoded images in base64."""
    data = [base64.b64encode(file).decode() for file in files]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(files)], "data": data}
    body = {"inputs": [tensor], "outputs": [{"name": name} for name in OUTPUTS]}
    return post(path_of(product), json.dumps(body).encode(), "application/json")


def binary(product: str, tensor: Mapping[str, object], data: bytes) -> bytes:
    """A request of the binary extension: the JSON, then the tensor."""
    named = {"name": "image", **tensor, "parameters": {"binary_data_size": len(data)}}
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]
    head = json.dumps({"inputs": [named], "outputs": outputs}).encode()
    return post(
        path_of(product), head + data, "application/octet-stream", {"Inference-Header-Content-Length": str(len(head))}
    )


def path_of(product: str) -> str:
    """Where the protocol judges."""
    return f"/v2/models/{product}/infer"


FORMS = {MULTIPART: multipart, BYTES: as_bytes, PIXELS: as_pixels, PLAIN: as_json}

if __name__ == "__main__":
    sys.exit(main())
