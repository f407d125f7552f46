"""Checks whether the images kept beside records are still those that were judged."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from service.audit.audit_record import Record

_NAME = re.compile(r"images/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9a-f]{64}\.[a-z]{3,4}")


class KeptImages:
    """The images of one chain, compared with their records."""

    def __init__(self, chain: Path) -> None:
        self._chain = chain
        self.changed: list[str] = []
        self.whole = 0
        self.removed = 0  # by retention or by hand: the record has the hash still

    def check(self, record: Record) -> None:
        """Look for the image of one record, if it was kept."""
        name = record.members.get("image_file")
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            return
        try:
            with (self._chain / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            self.removed += 1
            return
        if digest == record.members.get("image_sha256"):
            self.whole += 1
        else:
            self.changed.append(f"{name}: is not the image of record {record.seq} any more")

    def summary(self) -> str:
        """What was found, in words."""
        return f"kept images: {self.whole} as judged, {len(self.changed)} changed, {self.removed} removed since"
