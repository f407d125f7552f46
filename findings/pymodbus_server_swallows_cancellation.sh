#!/usr/bin/env bash
# pymodbus 3.16.1: ModbusTcpServer.serve_forever() in the foreground suppresses asyncio.CancelledError. The task that
# awaits it cannot be cancelled: it returns as if the server had ended by itself, and what comes after the await runs.
# Why it matters: a supervisor that restarts a server which has "ended" starts it anew while the program shuts down, and
# asyncio.timeout() around it never raises. Work-around: serve_forever(background=True), then wait for something else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pymodbus==3.16.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


async def main() -> bool:
    device = SimDevice(1, simdata=[SimData(0, count=8, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 15502))
    ran_on = False

    async def serve() -> None:
        nonlocal ran_on
        await server.serve_forever()
        ran_on = True

    task = asyncio.create_task(serve())
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])
    await server.shutdown()
    print("pymodbus", version("pymodbus"), "- cancelled:", task.cancelled(), "- went on after the await:", ran_on)
    return ran_on and not task.cancelled()


raise SystemExit(0 if asyncio.run(main()) else 1)
PYTHON
