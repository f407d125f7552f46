"""The OPC UA nodes of one station, by the names of OPC 40100-1 (Machine Vision) where it has one.

Every value is of status Good: clients lose the value of anything else. What a value is worth stands in nodes of their
own, `IsJudged` above all.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from service.gateway.answer_text import answer_members
from service.gateway.codes import MEANINGS
from service.gateway.events import Answer, Decision, Phase
from service.gateway.outputs_view import Outputs

VISION_STATES = {  # the states of OPC 40100-1's state machine
    Phase.STOPPED: "Halted",
    Phase.READY: "Ready",
    Phase.ACQUIRING: "SingleExecution",
    Phase.JUDGING: "SingleExecution",
    Phase.RESULT: "Ready",
}


class StationNode(NamedTuple):
    """A variable: its path under the station, its VariantType, and its value of what the station shows."""

    path: str
    kind: str
    value: Callable[[Outputs], Any]
    meaning: str


def vision_state(shown: Outputs) -> str:
    """The state by OPC 40100-1; Error while triggers would be rejected."""
    state = VISION_STATES[shown.phase]
    return "Error" if state == "Ready" and not shown.ready else state


NODES: tuple[StationNode, ...] = (
    StationNode("State", "String", vision_state, "Halted, Ready, SingleExecution or Error, as in OPC 40100-1"),
    StationNode("Phase", "String", lambda shown: shown.phase.value, "stopped, ready, acquiring, judging or result"),
    StationNode("Ready", "Boolean", lambda shown: shown.ready, "a job would start"),
    StationNode("Fault", "Boolean", lambda shown: shown.fault, "Code is not 0"),
    StationNode("Code", "UInt16", lambda shown: int(shown.code), "result code"),
    StationNode("Meaning", "String", lambda shown: MEANINGS[shown.code], "the code in words"),
    StationNode("Heartbeat", "UInt16", lambda shown: shown.heartbeat, "counts up while the gateway runs"),
    StationNode("RefusedCounter", "UInt16", lambda shown: shown.refused, "jobs refused while another one ran"),
    StationNode("FaultCounter", "UInt16", lambda shown: shown.faults, "answers that were not judged"),
)


class ResultNode(NamedTuple):
    """A variable under Result: its name, its VariantType, and its value of an answer."""

    name: str
    kind: str
    value: Callable[[Answer], Any]
    meaning: str


RESULT_NODES: tuple[ResultNode, ...] = (
    ResultNode("JobId", "String", lambda answer: str(answer.cycle), "as StartSingleJob has returned it"),
    ResultNode("PartId", "String", lambda answer: answer.part_id, "as it was given to StartSingleJob"),
    ResultNode("RecipeId", "String", lambda answer: answer.recipe, "the recipe that was judged by"),
    ResultNode("ProductId", "String", lambda answer: answer.product, "the product of that recipe"),
    ResultNode("Decision", "String", lambda answer: answer.decision.value, "OK, REVIEW, NG or REJECT"),
    ResultNode("IsOk", "Boolean", lambda answer: answer.decision is Decision.OK, "the only thing that means OK"),
    ResultNode("IsJudged", "Boolean", lambda answer: answer.score is not None, "Score and Threshold mean something"),
    ResultNode("Code", "UInt16", lambda answer: int(answer.code), "0 judged, else why not"),
    ResultNode("Score", "Double", lambda answer: -1.0 if answer.score is None else answer.score, "-1 where not judged"),
    ResultNode(
        "Threshold",
        "Double",
        lambda answer: -1.0 if answer.threshold is None else answer.threshold,
        "scores above it are NG; -1 where not judged",
    ),
    ResultNode("Method", "String", lambda answer: answer.method, "method of the artifact"),
    ResultNode("Version", "String", lambda answer: answer.version, "version of the artifact"),
    ResultNode("Artifact", "String", lambda answer: answer.artifact, "hash of the artifact"),
    ResultNode("MapReference", "String", lambda answer: answer.request_id, "request id in the service's log and trail"),
    ResultNode("CycleSeconds", "Double", lambda answer: answer.seconds, "time from trigger to decision"),
)
NO_RESULT = Answer(0, 0, "", "", "", Decision.REJECT, next(iter(MEANINGS)))


def document(station: str, answer: Answer) -> str:
    """The whole result in one value, so that no client reads half of one and half of another."""
    return json.dumps(answer_members(station, answer))


def node_rows(station: str) -> list[tuple[str, str, str]]:
    """All variables and methods of a station: node id, type, meaning."""
    rows = [(f"{station}.{node.path}", node.kind, node.meaning) for node in NODES]
    rows += [(f"{station}.Result.{node.name}", node.kind, node.meaning) for node in RESULT_NODES]
    return [
        *rows,
        (f"{station}.Result.Document", "String", "the result as JSON, all of it in one value"),
        (f"{station}.Result.ResultId", "UInt16", "counts results; written last"),
        (f"{station}.StartSingleJob", "method", "PartId, RecipeId: String -> JobId: String, Error: Int32"),
        (f"{station}.SelectRecipe", "method", "RecipeId: String -> Error: Int32; for jobs that name none"),
        (f"{station}.Abort", "method", "-> Error: Int32; ends the running job by REJECT"),
        (f"{station}.AcknowledgeResult", "method", "ResultId: UInt16 -> Error: Int32; takes the result away"),
    ]


def node_table(station: str) -> str:
    """The nodes as a table in Markdown."""
    lines = ["| Node id `ns=2;s=` | Type | Meaning |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in node_rows(station))]) + "\n"


def node_csv(station: str) -> str:
    """The nodes as CSV for import, with whole node ids."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["node_id", "type", "meaning"])
    writer.writerows((f"ns=2;s={name}", kind, meaning) for name, kind, meaning in node_rows(station))
    return out.getvalue()
