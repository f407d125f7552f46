"""An answer as the members of a JSON object: the same in HTTP replies, MQTT, webhooks and files."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from service.gateway.codes import MEANINGS
from service.gateway.events import Answer


def answer_members(station: str, answer: Answer) -> dict[str, object]:
    """Members in plain types. `ok` is true for the decision OK alone."""
    return {
        "station": station,
        "trigger_id": answer.trigger_id,
        "part_id": answer.part_id,
        "cycle": answer.cycle,
        "recipe": answer.recipe,
        "product": answer.product,
        "decision": answer.decision.value,
        "ok": answer.decision.value == "OK",
        "code": int(answer.code),
        "code_name": answer.code.name.lower(),
        "meaning": MEANINGS[answer.code],
        "score": answer.score,
        "threshold": answer.threshold,
        "version": answer.version,
        "method": answer.method,
        "artifact": answer.artifact,
        "request_id": answer.request_id,
        "seconds": round(answer.seconds, 6),
        "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
    }
