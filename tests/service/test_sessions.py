"""Session tokens: who holds one is known again, whoever makes one up is not, and all processes share one secret."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.sessions import LASTS_S, SECRET_FILE, Sessions, shared_secret

NOW = 1_700_000_000.0
DIGEST = "ab" * 32


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(b"s" * 32)


def test_a_token_is_read_again_until_it_is_over(sessions: Sessions) -> None:
    made = sessions.open("anna", DIGEST, secure=True, now=NOW)
    assert sessions.read(made.token, NOW + LASTS_S - 1) == made
    assert sessions.read(made.token, NOW + LASTS_S) is None
    assert DIGEST not in made.token
    assert not made.is_half_over(NOW)
    assert made.is_half_over(NOW + LASTS_S / 2 + 1)


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: "",
        lambda token: ".",
        lambda token: token.partition(".")[0],
        lambda token: "x" + token,
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.partition(".")[0][:-2] + "AA." + token.partition(".")[2],
        lambda token: token + "é",
        lambda token: token * 20,
        lambda token: Sessions(b"t" * 32).open("anna", DIGEST, secure=True, now=NOW).token,
    ],
)
def test_a_changed_or_made_up_token_is_none(sessions: Sessions, forge: object) -> None:
    token = sessions.open("anna", DIGEST, secure=True, now=NOW).token
    assert callable(forge)
    assert sessions.read(forge(token), NOW) is None


def test_each_session_has_a_csrf_token_of_its_own(sessions: Sessions) -> None:
    one, other = (sessions.open("anna", DIGEST, secure=False, now=NOW) for _ in range(2))
    assert sessions.is_csrf_token(one, sessions.csrf_token(one))
    assert not sessions.is_csrf_token(one, sessions.csrf_token(other))
    for wrong in ("", "é", one.token, sessions.csrf_token(one)[:-1]):
        assert not sessions.is_csrf_token(one, wrong)


def test_processes_that_start_together_find_one_secret_that_nobody_else_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(shared_secret, [folder] * 16))
    assert len(found) == 1
    assert stat.S_IMODE((folder / SECRET_FILE).stat().st_mode) == 0o600
    assert [file.name for file in folder.iterdir()] == [SECRET_FILE]


@pytest.mark.parametrize("spoil", [lambda file: file.chmod(0o644), lambda file: file.write_bytes(b"short")])
def test_a_secret_that_others_know_or_that_is_none_is_not_used(tmp_path: Path, spoil: object) -> None:
    shared_secret(tmp_path)
    assert callable(spoil)
    spoil(tmp_path / SECRET_FILE)
    assert shared_secret(tmp_path) != shared_secret(tmp_path)


def test_without_a_folder_the_secret_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert shared_secret(None) != shared_secret(None)
    assert len(shared_secret(file)) == 32
