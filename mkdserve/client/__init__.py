"""A typed client of the service's HTTP interface, for programs with an event loop and without.

    with Client("http://127.0.0.1:8000", key=KEY) as client:
        reply = client.score("part.png", product="screw", deadline_s=0.5)
        accept = reply.all_ok

Only a verdict that the service gave as OK is ever `is_ok`. Neither torch nor the web framework is imported.
"""

from mkdserve.client.async_client import AsyncClient
from mkdserve.client.calls import Call
from mkdserve.client.errors import (
    AnswerInvalid,
    ClientError,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    Gone,
    InvalidRequest,
    NotFound,
    Overloaded,
    Refused,
    ServiceFault,
    ServiceUnreachable,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from mkdserve.client.events import Event
from mkdserve.client.images import ImageFile
from mkdserve.client.retries import Retries
from mkdserve.client.sync_client import Client
from mkdserve.client.verdicts import ImageError, LocalizedVerdict, Reply, Verdict

__all__ = [
    "AnswerInvalid",
    "AsyncClient",
    "Call",
    "Client",
    "ClientError",
    "Conflict",
    "DeadlineExceeded",
    "Event",
    "Forbidden",
    "Gone",
    "ImageError",
    "ImageFile",
    "InvalidRequest",
    "LocalizedVerdict",
    "NotFound",
    "Overloaded",
    "Refused",
    "Reply",
    "Retries",
    "ServiceFault",
    "ServiceUnreachable",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Verdict",
]
