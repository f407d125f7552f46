"""Writes what is new in the feedback store as server-sent events, each row once whoever it goes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from service.feedback.rows import Changes, VerdictRow
from service.rest.feedback_view import row_of

VERDICT, REVIEW, STATE, GAP = "verdict", "review", "state", "gap"


def event_text(kind: str, data: bytes, id_: int | None = None) -> bytes:
    """One event; `data` is JSON in one line. Its id, where it has one, comes back as Last-Event-ID."""
    head = f"event: {kind}\n" if id_ is None else f"event: {kind}\nid: {id_}\n"
    return b"%sdata: %s\n\n" % (head.encode("ascii"), data)


def json_of(members: Mapping[str, object]) -> bytes:
    """An object as JSON in one line."""
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


class ChangeTexts:
    """The events of some changes. A review event has no id: who comes back is told of reviews by the last verdict."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._texts: dict[tuple[str, int], bytes] = {}

    def of(self, wants: Callable[[VerdictRow], bool]) -> bytes:
        """Those of the rows that are wanted: verdicts, oldest first, then verdicts whose reviews have changed."""
        changes = self._changes
        texts = [self._text(VERDICT, row, row.id) for row in changes.verdicts if wants(row)]
        texts += [self._text(REVIEW, row, None) for row in changes.reviewed if wants(row)]
        if changes.left_out:
            first = changes.verdicts[0].id if changes.verdicts else None
            texts.insert(0, event_text(GAP, json_of({"before": first})))
        return b"".join(texts)

    def _text(self, kind: str, row: VerdictRow, id_: int | None) -> bytes:
        key = (kind, row.id)
        if key not in self._texts:
            self._texts[key] = event_text(kind, row_of(row).model_dump_json().encode(), id_)
        return self._texts[key]
