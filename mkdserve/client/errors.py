"""Everything that a call can raise, with the service's stable code wherever the service has given one.

    ClientError                    code, title, detail, status, request_id, errors, retry_after_s
    |- ServiceUnreachable          no connection, or one that broke
    |- DeadlineExceeded            no answer in time: this client's own clock, or 504 deadline_exceeded
    |- AnswerInvalid               an answer that is not as documented; it is never taken for a verdict
    `- Refused                     problem+json (RFC 9457), or another status than a success
       |- InvalidRequest           400, 415, 422 and every 4xx without a class of its own
       |- Unauthorized             401
       |- Forbidden                403
       |- NotFound                 404
       |- Conflict                 409
       |- Gone                     410
       |- TooLarge                 413
       |- Overloaded               429
       |- Unavailable              503
       `- ServiceFault             every other 5xx

An image that cannot be judged raises nothing: it is an `ImageError` among the results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

DETAIL_CHARACTERS = 300  # of an answer that is no problem+json


class ClientError(Exception):
    """A call without a result. Programs look at `code`, which is stable; `title` and `detail` are for people.

    `status` is None where no answer has come; `request_id` finds the request in the service's log and audit trail;
    `errors` lists each wrong parameter; `retry_after_s` is what the service asks to wait.
    """

    code = "client_error"
    title = "The call failed"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        title: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        errors: tuple[Mapping[str, str], ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        self.code = code or type(self).code
        self.title = title or type(self).title
        self.detail, self.status, self.request_id = detail, status, request_id
        self.errors, self.retry_after_s = errors, retry_after_s
        super().__init__(f"{self.code}: {detail}")


class ServiceUnreachable(ClientError):
    """No answer for want of a connection. `sent` says whether the service may have had the request."""

    code, title = "service_unreachable", "The service cannot be reached"

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


class DeadlineExceeded(ClientError):
    """No answer within the deadline."""

    code, title = "deadline_exceeded", "The answer would come too late"


class AnswerInvalid(ClientError):
    """The answer is not what is documented: it is no verdict."""

    code, title = "answer_invalid", "The answer cannot be understood"


class Refused(ClientError):
    """The service has answered, and not with a result."""

    code, title = "refused", "The service has refused the request"


class InvalidRequest(Refused):
    """The request is not as documented."""


class Unauthorized(Refused):
    """A valid API key is needed."""


class Forbidden(Refused):
    """The API key does not cover this call."""


class NotFound(Refused):
    """There is no such product, version, verdict or path; `code` says which."""


class Conflict(Refused):
    """What is asked for contradicts what is there already; `code` says what."""


class Gone(Refused):
    """It was there once, as a picture that has been thinned away."""


class TooLarge(Refused):
    """The body, or the number of images in it, is over a limit."""


class Overloaded(Refused):
    """More work is waiting than can be taken."""


class Unavailable(Refused):
    """Not ready, shutting down, or a part of the service that is switched off; `code` says which."""


class ServiceFault(Refused):
    """A fault of the service, or of a proxy before it."""


BY_STATUS: dict[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    429: Overloaded,
    503: Unavailable,
}


def error_of(answer: httpx.Response) -> ClientError:
    """The error that an answer without a result stands for; its body has been read."""
    status, problem = answer.status_code, _problem(answer)
    code, detail = _text(problem.get("code")), _text(problem.get("detail"))
    kind = BY_STATUS.get(status, ServiceFault if status >= 500 else InvalidRequest)
    if not status >= 400:
        return AnswerInvalid(f"status {status} where a result was expected", status=status, request_id=_id(answer))
    rows = problem.get("errors")
    return (DeadlineExceeded if code == DeadlineExceeded.code else kind)(
        detail or f"status {status}: {answer.text[:DETAIL_CHARACTERS]}".rstrip(": "),
        code=code or f"http_{status}",
        title=_text(problem.get("title")),
        status=status,
        request_id=_text(problem.get("request_id")) or _id(answer),
        errors=tuple(row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else (),
        retry_after_s=retry_after_s(answer.headers.get("retry-after")),
    )


def retry_after_s(text: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3): a number or a date; None for neither."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _id(answer: httpx.Response) -> str | None:
    return _text(answer.headers.get("x-request-id"))
