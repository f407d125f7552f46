"""The command `mkd-audit verify | show | export FOLDER`: says where chains break, or gives the records asked for."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.exit_codes import ExitCode, guarded
from models.one_line_parser import OneLineParser
from service.audit.query import Found, RecordFilter, moment, search, write_csv
from service.audit.verify import ChainReport, heads_in, verify

PROGRAM = "mkd-audit"
LINES_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code (models.exit_codes)."""
    given = parser().parse_args(arguments)
    return guarded(PROGRAM, lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    try:
        return int(given.run(given))
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"{PROGRAM}: {error.filename or given.folder}: {error.strerror}\n")
        return ExitCode.OUTPUT if error.filename == getattr(given, "csv", None) else ExitCode.INPUT


def parser() -> argparse.ArgumentParser:
    """The parser of all three commands."""
    options = OneLineParser(prog=PROGRAM, description="Read the audit trail of a service.")
    options.add_version()
    commands = options.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("verify", help="say where chains break; exit code 1 if one does")
    check.add_argument("folder", type=Path, metavar="FOLDER")
    check.add_argument("--log", type=Path, metavar="FILE", help="log of the service, whose heads the chains must hold")
    check.add_argument("--images", action="store_true", help="compare the images kept with their records")
    check.add_argument("--strict", action="store_true", help="exit code 1 for warnings as well")
    check.set_defaults(run=run_verify)
    show = _search_parser(commands, "show", "print the records of verdicts, answers and what people did as JSON lines")
    show.set_defaults(run=run_show)
    export = _search_parser(commands, "export", "write the records of verdicts, answers and reviews as a table")
    export.add_argument("--csv", required=True, metavar="FILE", help="the file to write, - for standard output")
    export.set_defaults(run=run_export)
    return options


def _search_parser(
    commands: argparse._SubParsersAction[OneLineParser], name: str, text: str
) -> argparse.ArgumentParser:
    options = commands.add_parser(name, help=text)
    options.add_argument("folder", type=Path, metavar="FOLDER")
    options.add_argument("--product", help="of this product only")
    options.add_argument(
        "--since", type=_moment, help="from this time on: 2026-03-01T06:00+01:00, 2026-03-01, 8h, yesterday"
    )
    options.add_argument("--until", type=_moment, help="before this time")
    decisions = ["OK", "REVIEW", "NG", "REJECT"]
    options.add_argument("--decision", action="append", choices=decisions, help="may be given twice")
    kinds = ["verdict", "answer", "review", "recalibration"]
    options.add_argument("--kind", action="append", choices=kinds, help="may be given twice [verdict and answer]")
    options.add_argument("--request-id", metavar="ID")
    options.add_argument("--part-id", metavar="ID", help="of this part, as the line named it")
    options.add_argument("--line", help="from this line only")
    options.add_argument("--station", help="from this station only")
    options.add_argument("--caller", metavar="KEY", help="asked for by the API key of this name")
    return options


def run_verify(given: argparse.Namespace) -> int:
    """Print a report for each chain."""
    heads = None
    if given.log is not None:
        with given.log.open(encoding="utf-8", errors="replace") as log:
            heads = heads_in(log)
    reports = verify(given.folder, heads, images=given.images)
    for report in reports:
        print("\n".join(_lines(report)))
    broken = sum(1 for report in reports if report.breaks)
    warned = sum(1 for report in reports if report.warnings)
    print(f"{'BROKEN' if broken else 'OK'}: {len(reports)} chains, {broken} broken, {warned} with warnings")
    return ExitCode.NOT_IN_ORDER if broken or (given.strict and warned) else ExitCode.DONE


def run_show(given: argparse.Namespace) -> int:
    """Print records as they were written."""
    damage: list[str] = []
    for found in _search(given, damage):
        sys.stdout.write(found.line.decode("ascii"))
    return _said(damage)


def run_export(given: argparse.Namespace) -> int:
    """Write a CSV file."""
    damage: list[str] = []
    if given.csv == "-":
        write_csv(_search(given, damage), sys.stdout)
        return _said(damage)
    with Path(given.csv).open("w", encoding="utf-8", newline="") as out:
        rows = write_csv(_search(given, damage), out)
    print(f"{rows} records written to {given.csv}")
    return _said(damage)


def _search(given: argparse.Namespace, damage: list[str]) -> Iterator[Found]:
    decisions = frozenset(given.decision or ())
    wanted = RecordFilter(
        product=given.product,
        since=given.since,
        until=given.until,
        decisions=decisions,
        kinds=frozenset(given.kind or ()),
        request_id=given.request_id,
        caller=given.caller,
        line=given.line,
        station=given.station,
        part_id=given.part_id,
    )
    return search(given.folder, wanted, damage.append)


def _said(damage: list[str]) -> int:
    for text in damage[:LINES_SHOWN]:
        sys.stderr.write(f"left out: {text}\n")
    return ExitCode.NOT_IN_ORDER if damage else ExitCode.DONE


def _moment(text: str) -> str:
    try:
        return moment(text, time.time())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time") from None


def _beside_verdicts(report: ChainReport) -> tuple[tuple[int, str], ...]:
    return (report.answers, "answers"), (report.reviews, "reviews")


def _lines(report: ChainReport) -> list[str]:
    """A report in words: its head, then breaks, warnings and notes, some of each."""
    kinds = f"{report.verdicts} of them verdicts"
    kinds += "".join(f" and {count} {what}" for count, what in _beside_verdicts(report) if count)
    head = f"{report.name}: {report.records} records, {kinds}, in {report.files} files"
    if report.last is not None:
        head += f"; the last is {report.last.seq}, {report.last.time}, hash {report.last.hash}"
    found = [head]
    for word, texts in (("BREAK", report.breaks), ("warning", report.warnings), ("note", report.notes)):
        found += [f"  {word}: {text}" for text in texts[:LINES_SHOWN]]
        if len(texts) > LINES_SHOWN:
            found.append(f"  {word}: ... and {len(texts) - LINES_SHOWN} more")
    return found


if __name__ == "__main__":
    sys.exit(main())
