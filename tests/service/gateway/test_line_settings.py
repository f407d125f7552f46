"""line.toml: what is wrong is said, all of it, and two stations never write to one place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.gateway.__main__ import main
from service.gateway.libraries import MissingLibrary, need
from service.gateway.settings import LineFileError, read

STATION = '[[station]]\nname = "{name}"\nwindow_ms = 500\nrecipes = {{ 1 = "bolt" }}\nlink = {{ {link} }}\n'
MODBUS = 'kind = "modbus_client", host = "plc", result_at = {at}'


def written(folder: Path, text: str) -> Path:
    file = folder / "line.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(LineFileError) as refused:
        read(written(folder, text))
    return str(refused.value)


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    settings = read(written(tmp_path, STATION.format(name="a", link='kind = "modbus_server"')))
    assert settings.station[0].recipes == {"1": "bolt"}
    assert settings.service.url == "http://127.0.0.1:8000"


def test_overlapping_registers_are_refused_and_named(tmp_path: Path) -> None:
    two = STATION.format(name="a", link=MODBUS.format(at=100)) + STATION.format(name="b", link=MODBUS.format(at=123))
    said = refusal(tmp_path, two)
    assert "stations a and b both claim register 123 of plc:502 unit 1" in said
    apart = STATION.format(name="a", link=MODBUS.format(at=100)) + STATION.format(name="b", link=MODBUS.format(at=124))
    assert len(read(written(tmp_path, apart)).station) == 2


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ('kind = "modbus_server", prot = 1', "prot"),
        ('kind = "canopen"', "canopen"),
        ('kind = "opcua_server"', "nobody could start a job"),
        ('kind = "opcua_server", anonymous = "write", certificate = "c.pem"', "go together"),
        ('kind = "ads", net_id = "1.2.3", host = "plc"', "net_id"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, link: str, said: str) -> None:
    assert said in refusal(tmp_path, STATION.format(name="a", link=link))


def test_two_stations_of_one_name_are_refused(tmp_path: Path) -> None:
    two = STATION.format(name="a", link='kind = "http"') * 2
    assert "two stations are called a" in refusal(tmp_path, two)


def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'mkdserve\[modbus\]'"):
        need("pymodbus", "modbus")


def test_the_command_prints_the_map_and_refuses_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, STATION.format(name="a", link='kind = "modbus_server", result_at = 300'))
    assert main(["--config", str(file), "map", "--csv"]) == 0
    assert "result,300,5,0,bit,,OK," in capsys.readouterr().out
    assert main(["--config", str(file), "map", "--station", "b"]) == 2
    assert "no station b; there are: a" in capsys.readouterr().err
    assert main(["--config", str(tmp_path / "none.toml")]) == 2


def test_simulate_draws_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mkdserve[train]'")
    file = written(tmp_path, STATION.format(name="a", link='kind = "modbus_server"'))
    assert main(["--config", str(file), "simulate", "--out", str(tmp_path / "timing.png")]) == 0
    assert (tmp_path / "timing.png").read_bytes().startswith(b"\x89PNG")
