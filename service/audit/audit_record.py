"""The line of one record in the chain: how it is written, sealed with its own hash, and read back.

A record is one line of JSON that ends with its own hash:

    {"seq":7,"time":"...","kind":"verdict",...,"prev":"HASH OF RECORD 6","hash":"HASH OF RECORD 7"}

`hash` is the SHA-256 of the line's bytes before `,"hash":`, so it is checked without knowing how JSON was written.
Kinds: verdict, answer (of the line gateway to a PLC), review (what a person said of a part, or took back),
recalibration (a step of one), start and stop (of a process), gap (records that were lost), removal (old files that
retention took).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["verdict", "answer", "review", "recalibration", "start", "stop", "gap", "removal"]

NO_RECORD = "0" * 64  # what the first record of a chain has as `prev`
_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n')
_SEAL_BYTES = len(b',"hash":""}\n') + 64


class Damaged(ValueError):
    """A line that is no whole record, or whose hash is not that of its bytes; the text says which."""


@dataclass(frozen=True)
class Record:
    """One record that agrees with its own hash. `members` has all of it, as written."""

    seq: int
    kind: str
    time: str
    prev: str
    hash: str
    members: Mapping[str, Any]


def sealed(seq: int, kind: Kind, at: float, members: Mapping[str, object], prev: str) -> tuple[bytes, str]:
    """The line of a record, and its hash. `at` is in seconds since 1970. Raises ValueError for what JSON cannot say."""
    whole = {"seq": seq, "time": time_text(at), "kind": kind, **members, "prev": prev}
    body = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode("ascii")[:-1]
    digest = hashlib.sha256(body).hexdigest()
    return body + f',"hash":"{digest}"}}\n'.encode("ascii"), digest


def opened(line: bytes) -> Record:
    """The record of a line. Raises Damaged where it does not agree with itself."""
    seal = _SEAL.fullmatch(line[-_SEAL_BYTES:])
    if seal is None:
        raise Damaged("is no whole record" if line.endswith(b"\n") else "is half a record")
    digest = hashlib.sha256(line[:-_SEAL_BYTES]).hexdigest()
    if digest != seal[1].decode("ascii"):
        raise Damaged("has been changed: its bytes do not give its hash")
    try:
        members = json.loads(line)
        record = Record(members["seq"], members["kind"], members["time"], members["prev"], digest, members)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged("is not written as a record is") from None
    if type(record.seq) is not int or not all(type(text) is str for text in (record.kind, record.time, record.prev)):
        raise Damaged("is not written as a record is")
    return record


def time_text(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC with milliseconds: 2026-03-01T06:00:00.000Z. Sorts as time does."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def time_of(text: str) -> float:
    """The inverse of `time_text`; raises ValueError. A time without a zone is taken as UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
