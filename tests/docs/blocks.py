"""Finds the blocks of shell commands and of Python in a page of Markdown, and what the comment before each says of it.

A block is indented by four spaces or fenced as sh, bash, console or python. Two comments may stand right before one:

    <!-- run: after COMMAND -->     it is run, and COMMAND before it, which a reader has given already or would give
    <!-- not run: REASON -->        it is not run; REASON is one of REASONS
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REASONS = frozenset(
    {
        "a listing",  # no commands at all
        "needs docker",
        "needs kubernetes",
        "needs pictures of lights",
        "needs a ray cluster",
        "needs a broker",  # tests/docs/test_cookbook.py has one
        "needs the measuring data",
        "installs packages",
        "takes minutes",
        "serves until it is stopped",
        "takes the id of a group",
        "takes the id of a proposal",
        "shows a trail that was tampered with",
    }
)
SHELLS = ("sh", "bash", "console")
PYTHON = "python"
MARKER = re.compile(r"<!-- (?P<kind>run: after|not run:) (?P<text>.+?) -->")
FENCE = re.compile(r"(```+|~~~+)\s*(\w*)")


@dataclass(frozen=True)
class Block:
    """A block of commands: its page, the number of its first line, its lines, and the comment before it."""

    page: str
    line: int
    lines: tuple[str, ...]
    before: str = ""
    reason: str = ""
    language: str = "sh"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What a reader types: without the `$ `, the output below it, and comments; continued lines in one."""
        if self.language == PYTHON:
            return ["\n".join(["python - <<'END_OF_BLOCK'", *self.lines, "END_OF_BLOCK"])]
        console = any(line.startswith("$ ") for line in self.lines)
        typed = [line[2:] if console else line for line in self.lines if not console or line.startswith("$ ")]
        joined = re.sub(r"\\\n\s*", "", "\n".join(typed))
        return [line for line in joined.split("\n") if line.strip() and not line.lstrip().startswith("#")]

    @property
    def script(self) -> str:
        """The commands for bash, after those that are to come before them."""
        return "\n".join([self.before, *self.commands]).strip() + "\n"


def blocks(page: Path, root: Path) -> list[Block]:
    """Every block of `page`, in order. Raises ValueError for a comment that is none of the two."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = []
    for start, body, language in _bodies(lines):
        comment = _comment(lines, start)
        name = page.relative_to(root).as_posix()
        before, reason = _marked(comment, f"{name}:{start + 1}")
        found.append(Block(name, start + 1, tuple(body), before, reason, language))
    return found


def _bodies(lines: list[str]) -> Iterator[tuple[int, list[str], str]]:
    """(index of the first line of the block or of its fence, the lines in it, their language)."""
    at = 0
    while at < len(lines):
        fence = FENCE.fullmatch(lines[at].strip())
        if fence:
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == fence[1])
            if fence[2] in (*SHELLS, PYTHON):
                yield at, lines[at + 1 : end], PYTHON if fence[2] == PYTHON else "sh"
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()) and not _in_list(lines, at):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield at, [line[4:] for line in lines[at:end] if line.strip()], "sh"
            at = end
        else:
            at += 1


def _in_list(lines: list[str], at: int) -> bool:
    """Whether an indented line belongs to the item of a list before it."""
    above = next((line for line in reversed(lines[:at]) if line.strip()), "")
    return re.match(r"\s*(?:[-*]|\d+\.) ", above) is not None


def _comment(lines: list[str], start: int) -> str:
    """The HTML comment in the last line before `start` that is not empty, or an empty text."""
    above = next((line for line in reversed(lines[:start]) if line.strip()), "").strip()
    return above if above.startswith("<!--") else ""


def _marked(comment: str, where: str) -> tuple[str, str]:
    """(commands to run before, reason not to run), from the comment."""
    if not comment:
        return "", ""
    marker = MARKER.fullmatch(comment)
    if marker is None:
        raise ValueError(f"{where}: {comment} is neither <!-- run: after COMMAND --> nor <!-- not run: REASON -->")
    if marker["kind"] == "run: after":
        return marker["text"], ""
    if marker["text"] not in REASONS:
        raise ValueError(f"{where}: {marker['text']!r} is none of {', '.join(sorted(REASONS))}")
    return "", marker["text"]
