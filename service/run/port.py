"""Binds the port of the service, before anything else is done that takes time."""

from __future__ import annotations

import errno
import os
import socket
import time

from service.run.settings import Settings

PATIENCE_S = 10.0  # for the processes of a parent that was killed a moment ago to let go of the port
LOOK_EVERY_S = 0.2


class PortTaken(Exception):
    """The port cannot be had; the text says why and what would be right."""


def bound_socket(settings: Settings, patience_s: float = PATIENCE_S) -> socket.socket:
    """The port, bound and not yet listening; several processes may share it. Raises PortTaken once patience is over."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    give_up_at = time.monotonic() + patience_s
    while True:
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((settings.host.strip("[]"), settings.port))
            bound.set_inheritable(True)
        except OSError as error:
            bound.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() >= give_up_at:
                raise PortTaken(_in_words(settings, error)) from error
            time.sleep(LOOK_EVERY_S)
        else:
            return bound


def _in_words(settings: Settings, error: OSError) -> str:
    where = f"port {settings.port} of {settings.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: stop that (`ss -ltnp` names it), or give --port another"
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 are for root; give --port a higher one"
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return f"{where} cannot be had: {reason}; give --host an address of this machine"
