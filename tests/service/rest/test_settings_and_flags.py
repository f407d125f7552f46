"""Settings: where they come from, what they refuse, and how threads are shared."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import ValidationError

from service import __main__ as program
from service.run import command_line
from service.run.command_line import SettingsError, flag
from service.run.settings import Settings, is_loopback, thread_counts

KEY = "line:infer:" + "0" * 64


def test_defaults_bind_to_this_machine_alone() -> None:
    assert is_loopback(Settings().host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "inspection.example"])
def test_a_reachable_address_without_keys_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="no API keys"):
        Settings(host=host)
    assert Settings(host=host, api_keys=KEY).auth_enabled
    assert not Settings(host=host, insecure_no_auth=True).auth_enabled


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert not Settings(host=host).auth_enabled


@pytest.mark.parametrize(
    "wrong",
    [
        {"insecure_no_auth": True, "api_keys": KEY},
        {"image_formats": "png,exe"},
        {"image_formats": ","},
        {"devices": " , "},
        {"max_image_bytes": 200, "max_body_bytes": 100},
        {"max_body_bytes": 2 << 30},
        {"max_images": 600},
        {"port": 70000},
        {"processes": 0},
        {"batch_wait_ms": -1},
        {"log_level": "loud"},
        {"max_bach": 3},
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_the_environment_is_read_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKD_MAX_BATCH", "7")
    monkeypatch.setenv("MKD_PORT", "9001")
    settings = command_line.read(["--port", "9002", "--devices", "cuda:0, cuda:1", "--no-openapi"])
    assert (settings.max_batch, settings.port, settings.openapi) == (7, 9002, False)
    assert settings.device_names == ("cuda:0", "cuda:1")


def test_every_setting_is_a_flag() -> None:
    text = command_line.parser().format_help()
    for name in Settings.model_fields:
        assert flag(name) in text


def test_a_wrong_flag_is_named_with_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"--max-batch \(MKD_MAX_BATCH\)"):
        command_line.read(["--max-batch", "none"])


def test_a_key_in_the_environment_is_not_repeated_in_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKD_API_KEYS", "verysecret")
    monkeypatch.setenv("MKD_PORT", "x")
    with pytest.raises(SettingsError) as refusal:
        command_line.read([])
    assert "verysecret" not in str(refusal.value)


def test_unsafe_settings_end_the_start_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--host", "0.0.0.0"]) == 2
    assert "no API keys" in capsys.readouterr().err


def test_a_variable_that_is_no_setting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKD_MAX_BACTH", "7")
    monkeypatch.setenv("MKD_MAX_BATCH", "7")
    for name in ("MKD_CACHE_DIR", "MKD_WEIGHTS_DIR", "MKD_NO_DOWNLOAD"):
        monkeypatch.setenv(name, "1")
    assert command_line.unknown_variables() == ["MKD_MAX_BACTH"]


def test_the_keys_command_prints_a_key_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    from service.auth import KeyRing

    assert program.main(["keys", "new", "--name", "line-7", "--scopes", "infer,metrics"]) == 0
    printed = capsys.readouterr().out.splitlines()
    secret = next(line for line in printed if line.startswith("mkd_"))
    stored = next(line for line in printed if line.startswith("line-7:infer,metrics:"))
    assert KeyRing(None, stored).check(secret, "metrics") == "line-7"
    assert program.main(["keys", "new", "--name", "a", "--scopes", "root"]) == 2


def test_refusing_settings_does_not_wait_for_torch() -> None:
    import subprocess

    code = "import sys, service.__main__ as m; m.main(['--host', '0.0.0.0']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("cores", "processes", "on_cpu", "decode", "torch"),
    [
        (1, 1, True, 1, 1),
        (2, 1, True, 1, 2),
        (4, 1, True, 1, 3),
        (16, 1, True, 4, 12),
        (16, 4, True, 1, 3),
        (16, 1, False, 15, 1),
        (2, 8, True, 1, 1),
    ],
)
def test_threads_share_the_cores(cores: int, processes: int, on_cpu: bool, decode: int, torch: int) -> None:
    counts = thread_counts(Settings(processes=processes), on_cpu=on_cpu, cores=cores)
    assert (counts.decode, counts.torch) == (decode, torch)


def test_thread_counts_that_are_given_are_taken() -> None:
    counts = thread_counts(Settings(decode_threads=5, torch_threads=6), on_cpu=True, cores=4)
    assert (counts.decode, counts.torch) == (5, 6)
