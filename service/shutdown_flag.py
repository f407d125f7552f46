"""Tells readiness and routes that the process was asked to stop."""

from __future__ import annotations


class ShutdownFlag:
    """Set once, at SIGTERM; from a signal handler, so it holds a plain flag and takes no lock."""

    def __init__(self) -> None:
        self._set = False

    @property
    def is_set(self) -> bool:
        """Whether the process is about to end; requests that still come are served until the port closes."""
        return self._set

    def set(self) -> None:
        """From here on readiness is red."""
        self._set = True
