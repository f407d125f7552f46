#!/usr/bin/env bash
# httpx 0.28.1: a timeout is that of each connect, read and write, never of the whole call. Against a server that sends
# a byte of the header now and then, httpx.get(timeout=0.5) waits for as long as the server likes, without an error.
# Why it matters: a station whose window is 0.5 s waits for ever for a service or proxy that is half dead.
# Our care: mkdserve/client/exchange.py keeps the deadline by asyncio.timeout() around the whole call, for Client, too.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
in_a_fresh_environment httpx==0.28.1 <<'PYTHON'
import socket
import threading
import time

import httpx

DRIPS, PAUSE_S, TIMEOUT_S = 20, 0.15, 0.5
listening = socket.create_server(("127.0.0.1", 0))


def drip() -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(DRIPS):
            connection.sendall(b"a")
            time.sleep(PAUSE_S)
        connection.sendall(b"\r\nContent-Length: 0\r\n\r\n")


threading.Thread(target=drip, daemon=True).start()
begun = time.monotonic()
try:
    said = str(httpx.get(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=TIMEOUT_S, trust_env=False))
except httpx.TimeoutException as error:
    said = repr(error)
took = time.monotonic() - begun
print(f"httpx {httpx.__version__}, timeout {TIMEOUT_S} s: {said} after {took:.1f} s")
raise SystemExit(0 if took > 4 * TIMEOUT_S else 1)
PYTHON
