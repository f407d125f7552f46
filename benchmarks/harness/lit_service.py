"""An artifact in; our own detector behind LitServe out, on a loopback port: what a user would build without us.

    python -m benchmarks.harness.lit_service ARTIFACT --port 8001 --batch 16

JSON with base64, decoded in LitServe's worker, batches as LitServe forms them. Everything that it does not do (limits,
admission, deadlines, p-values, metrics, checks of the artifact's products) it does not have to pay for.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import litserve
import torch

from models.artifact import active_artifact, load_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Judgement, Row
from models.imaging.decode import decode_image
from models.imaging.preprocess import Prepared, prepare


class Judge(litserve.LitAPI):  # type: ignore[misc]
    """Image in, score and decision out."""

    def __init__(self, artifact: Path, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._path, self._threads = artifact, threads

    def setup(self, device: str) -> None:
        """In the worker's process."""
        torch.set_num_threads(self._threads)
        self.artifact = load_artifact(active_artifact(self._path))
        pool = SourcePool(torch.device("cpu"), threads=self._threads)
        pool.require(self.artifact.source, self.artifact.workload)
        self.detector = Detector(torch.device("cpu"), pool)
        self.thresholds = self.artifact.calibration.thresholds()

    def decode_request(self, request: dict[str, str]) -> Prepared:
        """{"image": base64} -> what the network takes."""
        return prepare(decode_image(base64.b64decode(request["image"])), self.artifact.preprocessing)

    def batch(self, inputs: list[Prepared]) -> list[Prepared]:
        """A list, as it comes."""
        return inputs

    def predict(self, x: list[Prepared]) -> list[Judgement]:
        """A batch."""
        return self.detector.judge([Row(image, self.artifact.head, self.artifact.source, False) for image in x])

    def unbatch(self, output: list[Judgement]) -> list[Judgement]:
        """A list, as it is."""
        return output

    def encode_response(self, output: Judgement) -> dict[str, object]:
        """The least that a caller needs."""
        return {"score": output.score, "decision": self.thresholds.decide(output.score)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("artifact", type=Path)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args(arguments)
    api = Judge(given.artifact, given.threads, max_batch_size=given.batch, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(host="127.0.0.1", port=given.port, generate_client_file=False, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
