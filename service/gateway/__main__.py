"""The command mkd-line: runs the stations of a line.toml, checks them, or prints their map."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from models.exit_codes import ExitCode, guarded, os_words
from models.one_line_parser import OneLineParser
from service import logs
from service.gateway import registers
from service.gateway.connection_check import check
from service.gateway.gateway import Gateway
from service.gateway.libraries import MissingLibrary
from service.gateway.links.opcua_nodes import node_csv, node_table
from service.gateway.settings import LineFileError, LineSettings, read
from service.gateway.simulation import simulate
from service.gateway.timing_diagram import draw

PROGRAM = "mkd-line"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code (models.exit_codes)."""
    options = _parser().parse_args(arguments)
    return guarded(PROGRAM, lambda: _command(options))


def _command(options: argparse.Namespace) -> int:
    try:
        settings = read(options.config)
        if options.command == "map":
            print(_map(settings, options.station, as_csv=options.csv), end="")
            return ExitCode.DONE
        if options.command == "check":
            logs.configure("warning")
            logging.getLogger().handlers = []  # what it says is told by station
            good = asyncio.run(check(settings, print))
            return ExitCode.DONE if good else ExitCode.NOT_IN_ORDER
        if options.command == "simulate":
            return _simulate(settings, options.out)
        return _run(settings)
    except LineFileError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except MissingLibrary as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return ExitCode.START_FAILED
    except OSError as error:
        print(f"{PROGRAM}: {os_words(error)}", file=sys.stderr)
        return ExitCode.OUTPUT if options.command == "simulate" else ExitCode.START_FAILED


def _parser() -> argparse.ArgumentParser:
    options = OneLineParser(prog=PROGRAM, description="The gateway between PLC, camera and service.")
    options.add_version()
    options.add_argument("--config", type=Path, default=Path("line.toml"), help="settings of all stations [line.toml]")
    commands = options.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", help="run all stations (also without a command)")
    commands.add_parser("check", help="try every connection and say what is wrong")
    diagram = commands.add_parser("simulate", help="run the handshake with a simulated PLC and draw it")
    diagram.add_argument("--out", type=Path, default=Path("timing.png"), help="PNG to write [timing.png]")
    table = commands.add_parser("map", help="print the register map, or the nodes of OPC UA")
    table.add_argument("--station", default="", help="name of the station [the first]")
    table.add_argument("--csv", action="store_true", help="as CSV for import, instead of a table")
    return options


def _run(settings: LineSettings) -> int:
    logs.configure(settings.gateway.log_level)

    async def until_stopped() -> None:
        gateway = Gateway(settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gateway.stop)
        await gateway.run()

    asyncio.run(until_stopped())
    return ExitCode.DONE


def _simulate(settings: LineSettings, out: Path) -> int:
    logs.configure("error")
    window_s = min(1.0, max(0.15, settings.station[0].window_ms / 1000))
    draw(asyncio.run(simulate(window_s)), window_s, out)
    print(f"written: {out}")
    return ExitCode.DONE


def _map(settings: LineSettings, name: str, *, as_csv: bool) -> str:
    """The register map of a station, or the nodes of its OPC UA server."""
    names = [station.name for station in settings.station]
    if name and name not in names:
        raise LineFileError(f"no station {name}; there are: {', '.join(names)}")
    station = settings.station[names.index(name) if name else 0]
    link = station.link
    if link.kind == "opcua_server":
        return node_csv(station.name) if as_csv else node_table(station.name)
    if link.kind in ("http", "mqtt", "hot_folder"):
        raise LineFileError(f"station {station.name} has no map: {link.kind} carries messages, see docs/line.md")
    command_at, result_at = getattr(link, "command_at", 0), getattr(link, "result_at", 0)
    if as_csv:
        return registers.as_csv(command_at, result_at, getattr(link, "word_order", "big"))
    return registers.as_table(command_at, result_at)


if __name__ == "__main__":
    sys.exit(main())
