"""Runs the commands of a page in its order, each block in a shell of its own and all in one folder."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.docs.blocks import Block, blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK_WITHIN_S = 200


class CommandFailed(Exception):
    """A block ended with another exit code than 0; the text has the place, the commands and what they said."""


def all_blocks() -> list[Block]:
    """Every block of commands in every page."""
    return [block for page in PAGES for block in blocks(page, ROOT)]


def run(block: Block, folder: Path, environment: Mapping[str, str]) -> str:
    """What the block says when it is run in `folder`, errors included. Raises CommandFailed."""
    said = folder.parent / f"{folder.name}-{block.line}.txt"
    # Into a file: a service that a block leaves running would keep a pipe open.
    with said.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=BLOCK_WITHIN_S,
            check=False,
        )
    text = said.read_text(encoding="utf-8", errors="replace")
    if done.returncode != 0:
        raise CommandFailed(f"{block}: exit code {done.returncode}\n{block.script}\n{text[-3000:]}")
    return text


def summary(found: list[Block]) -> str:
    """How many commands are run, and how many are not, by reason."""
    ran = sum(len(block.commands) for block in found if not block.reason)
    marked: Counter[str] = Counter()
    for block in found:
        if block.reason and block.reason != "a listing":
            marked[block.reason] += len(block.commands)
    reasons = ", ".join(f"{count} {reason}" for reason, count in marked.most_common())
    return f"{ran} commands are run, {marked.total()} are not: {reasons}"


def main() -> int:
    """Print every block with what happens to it, then the sum."""
    found = all_blocks()
    for block in found:
        print(f"{block!s:<24}{block.reason or 'run':<40}{(block.commands or ('',))[0][:80]}")
    print(summary(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
