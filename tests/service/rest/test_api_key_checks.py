"""API keys: who may do what, where the key may stand, and that it is found nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service import auth
from service.auth import KeyFileError, KeyRing, new_key, parse_keys
from service.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture

SECRETS = {scope: new_key(f"{scope}-key", [scope]) for scope in auth.SCOPES}
CALLS = {
    "infer": [("POST", "/score"), ("POST", "/localize")],
    "infer or view": [("GET", "/products"), ("GET", "/products/screw"), ("GET", "/products/screw/drift")],
    "view": [("GET", "/verdicts"), ("GET", "/reviews")],
    "metrics": [("GET", "/metrics")],
    "admin": [("POST", f"/admin/products/screw/{action}") for action in ("load", "unpin", "rollback", "unload")],
    "": [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/version"), ("GET", "/openapi.json")],
}
OPENERS = {
    "infer": {"infer"},
    "infer or view": {"infer", "view", "review", "admin"},
    "view": {"view", "review", "admin"},
    "metrics": {"metrics"},
    "admin": {"admin"},
}
OPENED = {"view": 503}  # the feedback store is off here; who lacks the scope does not get so far


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text("# the line's keys\n\n" + "\n".join(key.line() for _, key in SECRETS.values()) + "\n")
    return path


@pytest.fixture
def locked(open_house: OpenHouse, key_file: Path) -> House:
    return open_house(api_keys_file=key_file)


@pytest.mark.parametrize("held", [*auth.SCOPES, None])
@pytest.mark.parametrize("needed", CALLS)
def test_a_key_opens_what_its_scope_says_and_nothing_else(
    locked: House, picture: Picture, held: str | None, needed: str
) -> None:
    headers = {"Authorization": f"Bearer {SECRETS[held][0]}"} if held else {}
    for method, path in CALLS[needed]:
        sent = {**headers, "Content-Type": "image/png"} if needed == "infer" else headers
        content = picture() if needed == "infer" else None
        response = locked.run(locked.client.request(method, path, headers=sent, content=content))
        expected = OPENED.get(needed, 200) if needed == "" or held in OPENERS[needed] else 401 if held is None else 403
        assert response.status_code == expected, path
        if expected == 401:
            assert response.json()["code"] == "unauthorized"
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        if expected == 403:
            assert response.json()["code"] == "forbidden"


def test_the_key_may_stand_in_either_header(locked: House) -> None:
    secret = SECRETS["infer"][0]
    assert locked.get("/products", headers={"X-API-Key": secret}).status_code == 200
    assert locked.get("/products", headers={"Authorization": f"bearer {secret}"}).status_code == 200


@pytest.mark.parametrize(
    "secret",
    ["wrong", "", "mkd_", SECRETS["infer"][1].digest, SECRETS["infer"][0] + "x", "ä"],
    ids=["other", "empty", "prefix", "digest", "longer", "not ascii"],
)
def test_a_wrong_key_is_refused(locked: House, secret: str) -> None:
    headers = {b"x-api-key": secret.encode()}
    response = locked.get("/products", headers=headers)
    assert response.status_code == 401
    assert locked.get("/products", headers={"Authorization": "Basic abc"}).status_code == 401


def test_the_body_of_a_stranger_is_not_read(locked: House, picture: Picture) -> None:
    assert locked.score(picture()).status_code == 401
    assert locked.engine.judged == []
    assert locked.registry.leased == 0


def test_a_changed_file_counts_from_the_next_request_on(
    locked: House, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LOOK_EVERY_S", 0.0)
    old, (fresh, key) = SECRETS["infer"][0], new_key("fresh", ["infer"])
    assert locked.get("/products", headers={"X-API-Key": fresh}).status_code == 401
    key_file.write_text(key.line())
    assert locked.get("/products", headers={"X-API-Key": fresh}).status_code == 200
    assert locked.get("/products", headers={"X-API-Key": old}).status_code == 401


@pytest.mark.parametrize("content", ["broken", "a:root:" + "0" * 64, None])
def test_a_file_that_cannot_be_read_leaves_the_old_keys_in_force(
    locked: House, key_file: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setattr(auth, "LOOK_EVERY_S", 0.0)
    if content is None:
        key_file.unlink()
    else:
        key_file.write_text(content)
    assert locked.get("/products", headers={"X-API-Key": SECRETS["infer"][0]}).status_code == 200


def test_an_emptied_file_revokes_every_key(locked: House, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "LOOK_EVERY_S", 0.0)
    key_file.write_text("# nobody\n")
    assert locked.get("/products", headers={"X-API-Key": SECRETS["infer"][0]}).status_code == 401


def test_a_hangup_reads_the_file_at_once(key_file: Path) -> None:
    ring = KeyRing(key_file)
    secret, key = new_key("fresh", ["admin"])
    stamp = key_file.stat()
    key_file.write_text(key.line())
    os.utime(key_file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    ring.reload(force=True)
    assert ring.check(secret, "admin") == "fresh"


def test_keys_from_the_environment_are_separated_by_blanks() -> None:
    ring = KeyRing(None, " ".join(key.line() for _, key in SECRETS.values()))
    assert ring.check(SECRETS["metrics"][0], "metrics") == "metrics-key"
    with pytest.raises(Forbidden):
        ring.check(SECRETS["metrics"][0], "admin")
    with pytest.raises(Unauthorized):
        ring.check(None, "metrics")


def test_a_fresh_key_differs_each_time_and_is_stored_as_its_digest() -> None:
    (one, stored), (two, _) = new_key("a", ["infer", "metrics"]), new_key("a", ["infer"])
    assert one != two
    assert one not in stored.line()
    assert stored.line() == f"a:infer,metrics:{auth.digest_of(one)}"


@pytest.mark.parametrize(
    "line",
    ["a:infer", "a b:infer:" + "0" * 64, "a:root:" + "0" * 64, "a::" + "0" * 64, "a:infer:xyz", "a:infer:plainkey"],
)
def test_a_bad_line_is_named_by_its_number_and_not_repeated(line: str) -> None:
    with pytest.raises(KeyFileError, match="line 2") as refusal:
        parse_keys(f"# comment\n{line}", "keys")
    assert "plainkey" not in str(refusal.value)


def test_two_keys_of_one_name_are_refused() -> None:
    line = SECRETS["infer"][1].line()
    with pytest.raises(KeyFileError, match="same name"):
        parse_keys(f"{line}\n{line}", "keys")


def test_the_start_is_refused_without_a_single_key(tmp_path: Path) -> None:
    empty = tmp_path / "keys"
    empty.write_text("# none yet\n")
    with pytest.raises(KeyFileError, match="no key"):
        KeyRing(empty)


@pytest.mark.parametrize("held", ["metrics", None])
def test_a_stream_needs_a_key_that_covers_it(locked: House, held: str | None) -> None:
    headers = {"Authorization": f"Bearer {SECRETS[held][0]}"} if held else {}
    answer = locked.post("/score/stream", headers={**headers, "Content-Type": "application/x-tar"}, content=bytes(1024))
    assert answer.status_code == (401 if held is None else 403)
