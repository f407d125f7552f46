"""Runs one command of the trainer: `mkd-train fit ...`, `mkd-train evaluate ...` (or `python -m trainer ...`)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import torch
from pydantic import ValidationError

from models.artifact import ArtifactError
from models.heads.base import FitDiverged
from models.sources.weights import SourceWeightsError
from trainer.activations import ActivationError
from trainer.cli.arguments import parser
from trainer.cli.commands import COMMANDS
from trainer.data import DataError
from trainer.display import RichDisplay

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it is done, 1 with a sentence on standard error when it is not, 130 when interrupted."""
    arguments = parser().parse_args(argv)
    display = RichDisplay()
    if getattr(arguments, "threads", None):
        torch.set_num_threads(arguments.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped container leaves a checkpoint, as Ctrl-C does
    try:
        return COMMANDS[arguments.command](arguments, display)
    except KeyboardInterrupt:
        display.say("interrupted; the same command goes on from the last checkpoint")
        return INTERRUPTED
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            display.say(f"error: {where}: {problem['msg']}" if where else f"error: {problem['msg']}")
        return 1
    except (DataError, SourceWeightsError, ActivationError, ArtifactError, FitDiverged, ValueError, OSError) as error:
        display.say(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
