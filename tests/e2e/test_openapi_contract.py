"""schemathesis over the real service's OpenAPI document: every answer is one that the document promises.

E2E_EXAMPLES says how many requests are made up for each operation (the default is for every day).
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.harness.service_process import ServiceProcess

EXAMPLES = int(os.environ.get("E2E_EXAMPLES", "15"))
DOCUMENTED_5XX = {503, 504}
ENDLESS = {"GET /events"}  # a stream as long as the service; tests/service/rest/test_events.py reads it
INSPECTING = {"POST /score", "POST /localize", "POST /score/stream"}
CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)

Seen = dict[str, set[int]]  # operation -> statuses of its answers


def test_every_answer_is_documented(service: ServiceProcess) -> None:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    seen: Seen = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if operation.label not in ENDLESS:
            ask(operation, seen)
    assert seen.keys() >= {"POST /score", "POST /localize", "POST /admin/products/{name}/activate", "GET /metrics"}
    assert seen["POST /score"] >= {200, 404, 422}  # images were read, and what is wrong was found
    assert service.is_ready()


def ask(operation: Any, seen: Seen) -> None:
    """Made-up requests to one operation, each answer held against the document."""
    turns = itertools.count(1)

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        if operation.label in INSPECTING and next(turns) % 2:  # a made-up name seldom is that of a product
            case.query = {**(case.query or {}), "product": "bolt"}
        response = case.call(timeout=120)
        checks = CHECKS if response.status_code in DOCUMENTED_5XX else (*CHECKS, not_a_server_error)
        case.validate_response(response, checks=checks)
        seen.setdefault(operation.label, set()).add(response.status_code)

    check()
