"""Sessions of people at the page: a signed token in place of their API key, so that the key stays in no browser.

    token = base64url(JSON {name, digest, expires, secure, nonce}) "." base64url(HMAC-SHA256(secret, the first part))

A token holds no key: `digest` is the beginning of the key's SHA-256, by which each request finds the key again. A key
that is taken out of the list ends its sessions. The secret lies in a file that only the service's user can read, so
that all processes know each other's sessions; without a folder it lasts as long as the process.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from service.logs import event

SECRET_FILE = ".mkd-session-secret"  # noqa: S105  # the name of the file
SECRET_BYTES = 32
LASTS_S = 12 * 3600.0  # a shift and its handover
DIGEST_LETTERS = 32
LONGEST_TOKEN = 1024
_CSRF = b"csrf:"


@dataclass(frozen=True)
class Session:
    """Who has logged in: the key's name, the beginning of its digest, until when (seconds since 1970); over https?"""

    name: str
    digest: str
    expires: float
    secure: bool
    token: str

    def is_half_over(self, now: float) -> bool:
        """Whether it is time to give out a fresh one, so that nobody is logged out at work."""
        return self.expires - now < LASTS_S / 2


class Sessions:
    """Gives out tokens and reads them; `secret` is what they are signed with."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def open(self, name: str, digest: str, *, secure: bool, now: float | None = None) -> Session:
        """A new session for the key of this name and SHA-256."""
        expires, digest = (time.time() if now is None else now) + LASTS_S, digest[:DIGEST_LETTERS]
        members = {"name": name, "digest": digest, "expires": expires, "secure": secure, "nonce": secrets.token_hex(8)}
        body = _text(json.dumps(members, separators=(",", ":")).encode())
        return Session(name, digest, expires, secure, f"{body}.{self._signature(body.encode())}")

    def read(self, token: str, now: float | None = None) -> Session | None:
        """The session of a token; None where it was not signed here, was changed, or is over."""
        body, _, signature = token.partition(".")
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        if not hmac.compare_digest(self._signature(body.encode()), signature):
            return None
        try:
            members = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, ValueError):
            return None
        session = Session(members["name"], members["digest"], members["expires"], members["secure"], token)
        return session if session.expires > (time.time() if now is None else now) else None

    def csrf_token(self, session: Session) -> str:
        """What a state-changing request of this session must bring in X-CSRF-Token; another page cannot read it."""
        return self._signature(_CSRF + session.token.encode())

    def is_csrf_token(self, session: Session, offered: str) -> bool:
        """Compared in constant time."""
        return offered.isascii() and hmac.compare_digest(self.csrf_token(session), offered)

    def _signature(self, data: bytes) -> str:
        return _text(hmac.new(self._secret, data, hashlib.sha256).digest())


def shared_secret(folder: Path | None) -> bytes:
    """The secret of this folder, made at first use (mode 0600); without a usable folder one for this process alone."""
    if folder is not None:
        try:
            return _secret_in(folder)
        except OSError as error:
            event("no file for the sessions' secret, they end with the process", logging.WARNING, reason=str(error))
    return secrets.token_bytes(SECRET_BYTES)


def _secret_in(folder: Path) -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SECRET_FILE
    if not file.exists():
        made = folder / f"{SECRET_FILE}.{secrets.token_hex(8)}"
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(SECRET_BYTES))
        finally:
            os.close(descriptor)
        try:
            os.link(made, file)  # of several processes that start together, the first one's stays
        except FileExistsError:
            pass
        finally:
            made.unlink()
    if file.stat().st_mode & 0o077:
        raise PermissionError(f"{file} can be read by others: give it the mode 0600")
    secret = file.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise OSError(f"{file} does not hold {SECRET_BYTES} bytes: remove it, and everybody logs in again")
    return secret


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
