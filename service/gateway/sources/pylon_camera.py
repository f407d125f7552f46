"""Basler cameras by pypylon, and its emulated camera.

The queue of results is emptied before each software trigger. Numbers that run on without a gap do not tell that no
frame was lost, so a frame counts only when its grab succeeded. After one that did not, the grabbing starts anew; after
one that did not come, the camera is opened anew.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field

from service.gateway.codes import Code
from service.gateway.libraries import need
from service.gateway.picture import Picture, PictureError
from service.gateway.sources.camera import CameraSettings, CameraSource
from service.gateway.sources.pixel_formats import encode_frame

NO_FRAME = "the last trigger had no frame; the camera is opened anew"
NAMES = {"RGB8Packed": "RGB8", "BGR8Packed": "BGR8", "RGB16Packed": "RGB16"}


class PylonSettings(CameraSettings):
    """`[station.source] kind = "pylon"`."""

    kind: Literal["pylon"]
    serial: str = Field(default="", description="Serial number of the camera; empty for the first one.")
    features: dict[str, str] = Field(default={}, description="Further features by GenICam names, set at the start.")

    def make(self) -> CameraSource:
        need("pypylon.pylon", "camera-basler")
        return CameraSource(lambda: PylonDevice(self))


class PylonDevice:
    """One camera."""

    def __init__(self, settings: PylonSettings) -> None:
        self._settings = settings
        self._pylon = need("pypylon.pylon", "camera-basler")
        self._genicam = need("pypylon.genicam", "camera-basler")
        self._camera: Any = None
        self._suspect = False

    def open(self) -> None:
        pylon, settings = self._pylon, self._settings
        try:
            info = pylon.DeviceInfo()
            if settings.serial:
                info.SetSerialNumber(settings.serial)
            self._camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateFirstDevice(info))
            self._camera.Open()
            if settings.pixel_format:
                self._camera.PixelFormat.Value = settings.pixel_format
            if settings.exposure_us is not None:
                self._set_exposure(settings.exposure_us)
            for name, value in settings.features.items():
                self._camera.GetNodeMap().GetNode(name).FromString(value)
            self._camera.TriggerSelector.Value = "FrameStart"
            self._camera.TriggerMode.Value = "On"
            self._camera.TriggerSource.Value = "Software" if settings.trigger == "software" else settings.trigger
            self._start()
        except self._genicam.GenericException as error:
            raise PictureError(Code.CAMERA_LOST, _text(error)) from None

    def frame(self, seconds: float) -> Picture:
        if self._suspect:
            raise PictureError(Code.CAMERA_LOST, NO_FRAME)
        until = time.monotonic() + seconds
        try:
            if self._settings.trigger == "software":
                self._flush()
                self._camera.ExecuteSoftwareTrigger()
            return self._take(until)
        except self._genicam.GenericException as error:
            raise PictureError(Code.CAMERA_LOST, _text(error)) from None
        except PictureError as error:
            if error.code is Code.PICTURE_LATE:
                self._suspect = True
            else:
                self._restart()
            raise

    def check(self) -> None:
        if self._suspect:
            raise PictureError(Code.CAMERA_LOST, NO_FRAME)
        if self._camera.IsCameraDeviceRemoved() or not self._camera.IsGrabbing():
            raise PictureError(Code.CAMERA_LOST, "the camera was removed")

    def close(self) -> None:
        if self._camera is not None:
            self._camera.Close()
            self._camera = None

    def _start(self) -> None:
        self._camera.StartGrabbing(self._pylon.GrabStrategy_OneByOne)

    def _restart(self) -> None:
        try:
            self._camera.StopGrabbing()
            self._start()
        except self._genicam.GenericException as error:
            raise PictureError(Code.CAMERA_LOST, _text(error)) from None

    def _set_exposure(self, microseconds: float) -> None:
        """Newer cameras call it ExposureTime, older ones ExposureTimeAbs."""
        nodes = self._camera.GetNodeMap()
        node = nodes.GetNode("ExposureTime") or nodes.GetNode("ExposureTimeAbs")
        node.SetValue(microseconds)

    def _flush(self) -> None:
        while (result := self._retrieve(0)) is not None:
            result.Release()

    def _retrieve(self, seconds: float) -> Any:
        handling = self._pylon.TimeoutHandling_Return
        result = self._camera.RetrieveResult(max(0, int(seconds * 1000)), handling)
        return result if result is not None and result.IsValid() else None

    def _take(self, until: float) -> Picture:
        result = self._retrieve(until - time.monotonic())
        if result is None:
            raise PictureError(Code.PICTURE_LATE, "no frame came within the window")
        try:
            if not result.GrabSucceeded():
                raise PictureError(Code.PICTURE_UNREADABLE, f"the grab failed: {result.GetErrorDescription()}")
            taken, number = time.monotonic(), int(result.GetBlockID())
            name = str(self._camera.PixelFormat.Value)
            buffer = bytes(result.GetBuffer())
            data, media_type = encode_frame(buffer, result.GetWidth(), result.GetHeight(), NAMES.get(name, name))
            return Picture(data, media_type, number, taken)
        finally:
            result.Release()


def _text(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
