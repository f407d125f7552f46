"""Says whether the process is to stop, for readiness and for the answers that are still given."""

from __future__ import annotations


class ShutdownFlag:
    """Open from start to SIGTERM; set from a signal handler, so it holds a plain flag and takes no lock."""

    def __init__(self) -> None:
        self._open = True

    @property
    def is_open(self) -> bool:
        """Whether the service still wants to be sent requests."""
        return self._open

    def close(self) -> None:
        """From here on readiness is red; requests that still come are served until the port closes."""
        self._open = False
