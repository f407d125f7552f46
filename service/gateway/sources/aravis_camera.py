"""GigE and USB3 Vision cameras by Aravis.

Before each software trigger all buffers that wait are given back, since they hold the oldest frames. A frame belongs to
its trigger when it is the next number after the last one. A camera that has lost its control channel answers, but sends
no frames any more: so one that is triggered by software is open once a frame has come on trial.
"""

from __future__ import annotations

import ctypes
import time
from typing import Literal

from pydantic import Field

from service.gateway.codes import Code
from service.gateway.picture import Picture, PictureError
from service.gateway.sources.aravis_library import Pointer, library
from service.gateway.sources.camera import CameraSettings, CameraSource
from service.gateway.sources.pixel_formats import encode_frame
from service.gateway.sources.triggered_camera import TriggeredCamera

BUFFERS = 4
SETTLE_S = 0.2
TRIALS = 4  # frames after the opening, of which one must be complete
TRIAL_S = 5.0  # with an exposure that the camera has by itself; one that is set comes on top
FIXED_SOCKET_BUFFER = 0
MOST_SOCKET_BUFFER = 64 << 20
SUCCESS = 0
CLEARED = 1  # a buffer that holds no frame: with a raw socket Aravis gives one for packets of others at the opening
CONTINUOUS = 0
LARGEST_ID_16 = 0xFFFF  # GigE Vision 1 counts frames to here and on from 1


class AravisSettings(CameraSettings):
    """`[station.source] kind = "aravis"`."""

    kind: Literal["aravis"]
    camera: str = Field(default="", description="Name or address as arv-tool-0.8 lists it; empty for the first one.")

    def make(self) -> CameraSource:
        library()
        return CameraSource(lambda: AravisDevice(self))


class AravisDevice(TriggeredCamera):
    """One camera."""

    def __init__(self, settings: AravisSettings) -> None:
        super().__init__(settings)
        self._settings = settings
        self._aravis = library()
        self._camera: Pointer | None = None
        self._stream: Pointer | None = None
        self._format = ""
        self._last_id: int | None = None

    def open(self) -> None:
        settings, aravis = self._settings, self._aravis
        aravis.get("arv_update_device_list")
        name = ctypes.c_char_p(settings.camera.encode() or None)
        camera = aravis.try_("arv_camera_new", name, returns=ctypes.c_void_p)
        if not camera:
            raise PictureError(Code.CAMERA_LOST, f"no camera {settings.camera}")
        self._camera = Pointer(camera)  # type: ignore[arg-type]
        if settings.pixel_format:
            text = ctypes.c_char_p(settings.pixel_format.encode())
            aravis.try_("arv_camera_set_pixel_format_from_string", self._camera, text)
        if settings.exposure_us is not None:
            aravis.try_("arv_camera_set_exposure_time", self._camera, ctypes.c_double(settings.exposure_us))
        aravis.try_("arv_camera_set_acquisition_mode", self._camera, CONTINUOUS)
        aravis.try_("arv_camera_set_trigger", self._camera, ctypes.c_char_p(self.trigger_source.encode()))
        text_now = aravis.try_("arv_camera_get_pixel_format_as_string", self._camera, returns=ctypes.c_char_p)
        self._format = text_now.decode() if isinstance(text_now, bytes) else ""
        self._start()

    def fire(self) -> None:
        self._aravis.try_("arv_camera_software_trigger", self._camera)

    def ask(self) -> None:
        self._aravis.try_("arv_camera_get_payload", self._camera, returns=ctypes.c_uint)

    def close(self) -> None:
        self._stop()
        if self._camera is not None:
            self._aravis.unref(self._camera)
            self._camera = None

    def _start(self) -> None:
        aravis = self._aravis
        payload = aravis.try_("arv_camera_get_payload", self._camera, returns=ctypes.c_uint)
        stream = aravis.try_("arv_camera_create_stream", self._camera, None, None, returns=ctypes.c_void_p)
        self._stream = Pointer(stream)  # type: ignore[arg-type]
        assert isinstance(payload, int)
        self._widen_socket(2 * payload)
        for _ in range(BUFFERS):
            size = ctypes.c_size_t(payload)
            buffer = aravis.get("arv_buffer_new_allocate", size, returns=ctypes.c_void_p)
            aravis.get("arv_stream_push_buffer", self._stream, Pointer(buffer))  # type: ignore[arg-type]
        aravis.try_("arv_camera_start_acquisition", self._camera)
        self._last_id = None
        if self.by_software:
            time.sleep(SETTLE_S)  # in which what an earlier run has left on its way arrives
            self.flush()
            self._last_id = None  # numbers of before may belong to another series
            self._try_out()

    def _widen_socket(self, size: int) -> None:
        """Has a GigE camera's socket hold so many bytes, or what the system allows (net.core.rmem_max).

        Aravis leaves it at the system's default, 208 KiB, of which packets fill more than they carry. The size takes
        effect as the first frame begins, so that one may still arrive incomplete.
        """
        if self._aravis.get("arv_camera_is_gv_device", self._camera, returns=ctypes.c_int):
            self._aravis.set(self._stream, "socket-buffer", FIXED_SOCKET_BUFFER)
            self._aravis.set(self._stream, "socket-buffer-size", min(size, MOST_SOCKET_BUFFER))

    def _try_out(self) -> None:
        """Triggers until a frame is complete. Raises PictureError(CAMERA_LOST) where none comes."""
        patience = TRIAL_S + (self._settings.exposure_us or 0) / 1e6
        for _ in range(TRIALS):
            self.fire()
            if self._next_status(time.monotonic() + patience) == SUCCESS:
                return
            time.sleep(SETTLE_S)
            self.flush()
        raise PictureError(Code.CAMERA_LOST, f"frames arrive incomplete on trial ({self._counts()})")

    def _next_status(self, until: float) -> int:
        """The status of the next frame, which is given back to the stream unread."""
        while (buffer := self._pop(until - time.monotonic())) is not None:
            status, number = self._status(buffer), self._number(buffer)
            self._aravis.get("arv_stream_push_buffer", self._stream, buffer)
            if status != CLEARED:
                self._last_id = number
                return status
        raise PictureError(Code.CAMERA_LOST, f"the camera sends no frame on trial ({self._counts()})")

    def _stop(self) -> None:
        if self._stream is None:
            return
        try:
            self._aravis.try_("arv_camera_stop_acquisition", self._camera)
        except PictureError:
            pass  # a camera that is gone cannot be stopped
        finally:
            self._aravis.unref(self._stream)
            self._stream = None

    def restart(self) -> None:
        self._stop()
        self._start()

    def flush(self) -> None:
        while (buffer := self._pop(0)) is not None:
            if self._last_id is not None:
                self._last_id = self._number(buffer)
            self._aravis.get("arv_stream_push_buffer", self._stream, buffer)

    def _pop(self, seconds: float) -> Pointer | None:
        wait = ctypes.c_uint64(max(0, int(seconds * 1e6)))
        found = self._aravis.get("arv_stream_timeout_pop_buffer", self._stream, wait, returns=ctypes.c_void_p)
        return Pointer(found) if isinstance(found, int) and found else None

    def _number(self, buffer: Pointer) -> int:
        number = self._aravis.get("arv_buffer_get_frame_id", buffer, returns=ctypes.c_uint64)
        assert isinstance(number, int)
        return number

    def _status(self, buffer: Pointer) -> int:
        status = self._aravis.get("arv_buffer_get_status", buffer, returns=ctypes.c_int)
        assert isinstance(status, int)
        return status

    def take(self, until: float) -> Picture:
        """The next frame, given back to the stream once it is copied."""
        oldest_ns = time.time_ns() - int(self._settings.max_age_ms * 1e6)
        while True:
            buffer = self._pop(until - time.monotonic())
            if buffer is None:
                raise PictureError(Code.PICTURE_LATE, f"no frame came within the window ({self._counts()})")
            try:
                at = self._aravis.get("arv_buffer_get_system_timestamp", buffer, returns=ctypes.c_uint64)
                if not self.by_software and isinstance(at, int) and at < oldest_ns:
                    self._last_id = self._number(buffer)
                    continue
                return self._read(buffer)
            finally:
                self._aravis.get("arv_stream_push_buffer", self._stream, buffer)

    def _counts(self) -> str:
        """What the stream has counted so far: it tells a camera that sends nothing from a network that loses."""
        found = [ctypes.c_uint64() for _ in ("completed", "failures", "underruns")]
        self._aravis.get("arv_stream_get_statistics", self._stream, *(ctypes.byref(one) for one in found))
        completed, failed, underruns = (one.value for one in found)
        return f"of frames before: {completed} complete, {failed} incomplete, {underruns} without a buffer"

    def _read(self, buffer: Pointer) -> Picture:
        aravis, number, last = self._aravis, self._number(buffer), self._last_id
        self._last_id = number
        status = self._status(buffer)
        if status != SUCCESS:
            raise PictureError(Code.PICTURE_UNREADABLE, f"frame {number} arrived incomplete (status {status})")
        if last is not None and number not in (last + 1, 1 if last == LARGEST_ID_16 else last + 1):
            raise PictureError(Code.PICTURE_NOT_OF_TRIGGER, f"frame {number} came after frame {last}")
        size = ctypes.c_size_t()
        address = aravis.get("arv_buffer_get_data", buffer, ctypes.byref(size), returns=ctypes.c_void_p)
        width = aravis.get("arv_buffer_get_image_width", buffer, returns=ctypes.c_int)
        height = aravis.get("arv_buffer_get_image_height", buffer, returns=ctypes.c_int)
        assert isinstance(address, int)
        assert isinstance(width, int)
        assert isinstance(height, int)
        taken = time.monotonic()
        data, media_type = encode_frame(ctypes.string_at(address, size.value), width, height, self._format)
        return Picture(data, media_type, number, taken)
