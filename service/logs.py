"""Writes log records of the service and of uvicorn as JSON lines on standard error, one per request and event."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)
FIELDS = "mkd_fields"  # attribute under which a log call hands over its structured members
logger = logging.getLogger("mkdserve")


class JsonLines(logging.Formatter):
    """One record, one line: time, level, event, then the members that the call gave."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        members.update(getattr(record, FIELDS, {}))
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return ENCODER.encode(members)


def configure(level: str) -> None:
    """Send everything of level `level` and above to standard error as JSON lines; uvicorn's access log stays off."""
    # No line names a thread or a process, so none is looked up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False


def event(message: str, level: int = logging.INFO, **fields: object) -> None:
    """Log `message` with structured members."""
    if not logger.isEnabledFor(level):
        return
    # Made here, as `logger.log` walks the stack for the name of the caller, which no line tells.
    record = logger.makeRecord(logger.name, level, "", 0, message, (), None, extra={FIELDS: fields})
    logger.handle(record)
