"""A camera that is triggered by software is open once a frame has come on trial, and only then."""

from __future__ import annotations

import ctypes

import pytest

from service.gateway.codes import Code
from service.gateway.picture import PictureError
from service.gateway.sources import aravis_camera
from service.gateway.sources.aravis_camera import CLEARED, SUCCESS, TRIALS, AravisDevice, AravisSettings

INCOMPLETE = 2


class FakeLibrary:
    """Aravis with a camera that answers everything; each trigger brings the next entry of `frames`, statuses."""

    def __init__(self, *frames: tuple[int, ...]) -> None:
        self.triggers = 0
        self.widened: dict[str, int] = {}
        self._frames = list(frames)
        self._statuses: list[int] = []  # of all buffers; a buffer's address is its place here, from 1
        self._waiting: list[int] = []

    def try_(self, function: str, *arguments: object, returns: object = None) -> object:
        if function == "arv_camera_software_trigger":
            self.triggers += 1
            for status in self._frames.pop(0) if self._frames else ():
                self._statuses.append(status)
                self._waiting.append(len(self._statuses))
        return 100 if returns is ctypes.c_uint else b"Mono8" if returns is ctypes.c_char_p else 1

    def get(self, function: str, *arguments: object, returns: object = None) -> object:
        if function == "arv_stream_timeout_pop_buffer":
            return self._waiting.pop(0) if self._waiting else None
        if function == "arv_buffer_get_status":
            return self._statuses[self._address(arguments[0]) - 1]
        return self._address(arguments[0]) if function == "arv_buffer_get_frame_id" else 1

    def set(self, thing: object, name: str, value: int) -> None:
        self.widened[name] = value

    def unref(self, thing: object) -> None:
        pass

    @staticmethod
    def _address(buffer: object) -> int:
        assert isinstance(buffer, ctypes.c_void_p)
        return buffer.value or 0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aravis_camera, "SETTLE_S", 0.0)


def opened(fake: FakeLibrary, monkeypatch: pytest.MonkeyPatch, trigger: str = "software") -> None:
    monkeypatch.setattr(aravis_camera, "library", lambda: fake)
    AravisDevice(AravisSettings(kind="aravis", trigger=trigger)).open()


def test_a_camera_that_answers_and_sends_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match="sends no frame on trial") as lost:
        opened(FakeLibrary(), monkeypatch)
    assert lost.value.code is Code.CAMERA_LOST


def test_a_first_frame_may_be_incomplete_as_the_socket_is_widened_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeLibrary((INCOMPLETE,), (SUCCESS,))
    opened(fake, monkeypatch)
    assert fake.triggers == 2
    assert fake.widened == {"socket-buffer": 0, "socket-buffer-size": 200}


def test_frames_that_never_arrive_whole_mean_that_the_camera_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeLibrary(*[(INCOMPLETE,)] * TRIALS)
    with pytest.raises(PictureError, match="arrive incomplete") as lost:
        opened(fake, monkeypatch)
    assert lost.value.code is Code.CAMERA_LOST


def test_what_is_of_other_traffic_is_passed_over_without_a_second_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second trigger would leave a frame on its way that the next part could be judged by."""
    fake = FakeLibrary((CLEARED, CLEARED, SUCCESS))
    opened(fake, monkeypatch)
    assert fake.triggers == 1


def test_one_that_the_plc_triggers_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeLibrary()
    opened(fake, monkeypatch, trigger="Line1")
    assert fake.triggers == 0
