"""In: the command line of `mkd-score`. Out: the results' file and exit code 0, or a sentence and another code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from service.run import openmp


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when the results are written, 1 with the reason when not, 130 when interrupted."""
    openmp.let_waiting_threads_sleep()
    try:
        from service.bulk.command import run
    except ModuleNotFoundError as error:
        if error.name not in {"pyarrow", "rich"}:
            raise
        print(f"mkd-score: {error.name} is missing: pip install 'mkdserve[bulk]'", file=sys.stderr)
        return 1
    return run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
