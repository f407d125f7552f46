"""Log in at the page, see who one is, log out: POST, GET and DELETE /session."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from service.auth import SCOPES
from service.errors import ServiceError
from service.rest.credentials import (
    SESSION_COOKIE,
    first_values,
    refuse_cross_site,
    session_in,
    session_token,
)
from service.rest.dependencies import SessionRequest, TheChecks, TheRecord
from service.rest.foreign import refuse_foreign
from service.rest.openapi import json_body, problems_for
from service.rest.request_checks import RequestChecks
from service.rest.session_schemas import SessionBody, SessionReply
from service.sessions import LASTS_S, Session

router = APIRouter(prefix="/session", tags=["session"])


@router.post(
    "",
    summary="Log in",
    status_code=204,
    responses=problems_for(400, 401, 403, 408, 413, 415, 422),
    openapi_extra=json_body(SessionBody),
)
async def log_in(request: Request, checks: TheChecks, record: TheRecord, body: SessionRequest) -> Response:
    """Takes an API key and sets a cookie that stands for it. Without API keys there is nothing to log in to."""
    headers = first_values(request.scope["headers"])
    refuse_cross_site(headers, must_tell=False)
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    if checks.keys is not None:
        key = checks.keys.key_for(body.key)
        record.caller = key.name
        set_cookie(request, response, checks.sessions.open(key.name, key.digest, secure=is_https(request)))
    return response


@router.get("", summary="Who am I?", responses=problems_for(403))
async def who(request: Request, response: Response, checks: TheChecks) -> SessionReply:
    """Name and scopes of the session. Nobody logged in is an answer and no error; a session half over is renewed."""
    response.headers["Cache-Control"] = "no-store"
    if checks.keys is None:
        refuse_foreign(request, checks.options.host)
        return SessionReply(name=None, scopes=list(SCOPES), keys_needed=False, csrf_token=None)
    session = current_session(request, checks)
    if session is None:
        return SessionReply(name=None, scopes=[], keys_needed=True, csrf_token=None)
    key = checks.keys.key_of_session(session.name, session.digest)
    if session.is_half_over(time.time()):
        session = checks.sessions.open(key.name, key.digest, secure=session.secure)
        set_cookie(request, response, session)
    scopes = [scope for scope in SCOPES if key.covers(scope)]
    return SessionReply(name=key.name, scopes=scopes, keys_needed=True, csrf_token=checks.sessions.csrf_token(session))


@router.delete("", summary="Log out", status_code=204, responses=problems_for(403))
async def log_out(request: Request) -> Response:
    """Takes the cookie away. Other sessions of the same key go on; taking the key out of the list ends them all."""
    refuse_cross_site(first_values(request.scope["headers"]), must_tell=False)
    response = Response(status_code=204)
    response.delete_cookie(SESSION_COOKIE, path=cookie_path(request))
    return response


def current_session(request: Request, known: RequestChecks) -> Session | None:
    """The session of this request's cookie, if it is still good."""
    token = session_token(first_values(request.scope["headers"]))
    try:
        session = session_in(token, known) if token is not None else None
        if session is not None and known.keys is not None:
            known.keys.key_of_session(session.name, session.digest)
    except ServiceError:
        return None
    return session


def set_cookie(request: Request, response: Response, session: Session) -> None:
    """For this path alone, for no script, for no request from another page; over https never in the clear."""
    response.set_cookie(
        SESSION_COOKIE,
        session.token,
        max_age=int(LASTS_S),
        path=cookie_path(request),
        httponly=True,
        samesite="strict",
        secure=session.secure,
    )


def cookie_path(request: Request) -> str:
    """Where a proxy shows the service, so that two services behind one name keep their cookies apart."""
    return str(request.scope.get("root_path") or "/")


def is_https(request: Request) -> bool:
    """Whether the browser came by https: TLS ends at the proxy, and the page's Origin is what tells."""
    return urlsplit(request.headers.get("origin", "")).scheme == "https" or request.url.scheme == "https"
