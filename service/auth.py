"""API keys: which caller a key belongs to and what it may do.

Keys are kept as SHA-256 digests, a line `name:scopes:sha256` each. A plain digest is enough because the keys are made
here from 256 random bits: there is nothing to guess, so nothing that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.names import is_name
from service.errors import Forbidden, Unauthorized
from service.logs import event

SCOPES = ("infer", "metrics", "view", "review", "admin")
COVERED_BY = {"view": frozenset({"view", "review", "admin"}), "review": frozenset({"review", "admin"})}
LOOK_EVERY_S = 1.0  # how often the file's date is looked at, at most
_DIGEST = re.compile(r"[0-9a-f]{64}")


class KeyFileError(ValueError):
    """The key list cannot be used; the text says which line and why, never what the line holds."""


@dataclass(frozen=True)
class ApiKey:
    """One key as the service knows it: by its digest alone."""

    name: str
    scopes: frozenset[str]
    digest: str

    def covers(self, scope: str) -> bool:
        """Whether the key may do what asks for `scope`: who reviews may view, and who administers may do both."""
        return not self.scopes.isdisjoint(COVERED_BY.get(scope, {scope}))

    def line(self) -> str:
        """The form in which it stands in the file."""
        return f"{self.name}:{','.join(scope for scope in SCOPES if scope in self.scopes)}:{self.digest}"


def digest_of(secret: str) -> str:
    """SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_key(name: str, scopes: Iterable[str]) -> tuple[str, ApiKey]:
    """A fresh key of 256 random bits and the entry for the file; the key itself is kept nowhere."""
    secret = "mkd_" + secrets.token_urlsafe(32)
    return secret, parse_key(f"{name}:{','.join(scopes)}:{digest_of(secret)}", "the new key")


def parse_key(line: str, where: str) -> ApiKey:
    """One line `name:scopes:sha256`; `where` names it in the error."""
    parts = line.split(":")
    if len(parts) != 3:
        raise KeyFileError(f"{where}: a line must read name:scopes:sha256")
    name, scopes, digest = parts[0], frozenset(parts[1].split(",")), parts[2].lower()
    if not is_name(name):
        raise KeyFileError(f"{where}: the name may hold letters, digits, dot, dash and underscore, 64 at most")
    if not scopes <= set(SCOPES):
        raise KeyFileError(f"{where}: scopes are {', '.join(SCOPES)}, separated by commas")
    if not _DIGEST.fullmatch(digest):
        raise KeyFileError(f"{where}: the third part must be a SHA-256 in 64 hexadecimal digits")
    return ApiKey(name, scopes, digest)


def parse_keys(text: str, where: str) -> tuple[ApiKey, ...]:
    """Every key of a file's text; blank lines and those that begin with # are passed over."""
    rows = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    keys = [parse_key(line, f"{where}, line {number}") for number, line in rows if line and not line.startswith("#")]
    names = [key.name for key in keys]
    if len(set(names)) != len(names):
        raise KeyFileError(f"{where}: two keys have the same name")
    return tuple(keys)


class KeyRing:
    """The keys in force; a changed file is read again at the next request, a broken one changes nothing."""

    def __init__(self, path: Path | None, inline: str = "") -> None:
        self._path = path
        self._inline = parse_keys("\n".join(inline.split()), "api_keys")
        self._stamp: tuple[int, int, int] | None = None
        self._looked = time.monotonic()
        self._keys: tuple[ApiKey, ...] = ()
        try:
            self._load()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{path}: {error}") from error
        if not self._keys:
            raise KeyFileError(f"{path or 'api_keys'}: there is no key in it")

    def check(self, secret: str | None, scope: str) -> str:
        """The name of the key `secret`; Unauthorized where it is none of ours, Forbidden where it lacks `scope`."""
        return self.key_for(secret, scope).name

    def key_for(self, secret: str | None, *scopes: str) -> ApiKey:
        """The key itself, as `check` finds it; it must cover one of `scopes`, where any are named."""
        self._reload_in_time()
        if not secret:
            raise Unauthorized("send a key as Authorization: Bearer KEY or as X-API-Key: KEY")
        key = self._find(secret)
        if key is None:
            raise Unauthorized("the key is not known")
        return _permitted(key, scopes)

    def key_of_session(self, name: str, digest: str, *scopes: str) -> ApiKey:
        """The same for the key of this name whose SHA-256 begins with `digest`: what a session remembers of a key."""
        self._reload_in_time()
        for key in self._keys:
            if key.name == name and key.digest.startswith(digest):
                return _permitted(key, scopes)
        raise Unauthorized(f"the key {name!r} has been taken away: log in with another one")

    def __len__(self) -> int:
        return len(self._keys)

    def reload(self, *, force: bool = False) -> None:
        """Read the file again where it has changed (or `force`, on SIGHUP); errors are logged and change nothing."""
        self._looked = time.monotonic()
        try:
            if force or self._stamp != self._current_stamp():
                self._load()
                event("api keys read", keys=[key.name for key in self._keys])  # an emptied file revokes them all
        except (OSError, ValueError) as error:  # KeyFileError and UnicodeDecodeError are ValueErrors
            event("api keys not read, the old ones stay in force", logging.ERROR, reason=str(error))

    def _reload_in_time(self) -> None:
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self.reload()

    def _find(self, secret: str) -> ApiKey | None:
        digest = digest_of(secret)
        found = None
        for key in self._keys:  # to the end in every case: the time taken must not tell which key was near
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _load(self) -> None:
        if self._path is None:
            self._keys = self._inline
            return
        stamp = self._current_stamp()
        keys = self._inline + parse_keys(self._path.read_text(encoding="utf-8"), self._path.name)
        self._keys, self._stamp = keys, stamp

    def _current_stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino


def _permitted(key: ApiKey, scopes: tuple[str, ...]) -> ApiKey:
    if scopes and not any(key.covers(scope) for scope in scopes):
        raise Forbidden(f"key {key.name!r} lacks the scope {' or '.join(map(repr, scopes))}")
    return key
