"""Basler cameras by pypylon, and its emulated camera.

The queue of results is emptied before each software trigger. Numbers that run on without a gap do not tell that no
frame was lost, so a frame counts only when its grab succeeded.
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
from service.gateway.sources.triggered_camera import TriggeredCamera, first_line

NAMES = {"RGB8Packed": "RGB8", "BGR8Packed": "BGR8", "RGB16Packed": "RGB16"}


class PylonSettings(CameraSettings):
    """`[station.source] kind = "pylon"`."""

    kind: Literal["pylon"]
    serial: str = Field(default="", description="Serial number of the camera; empty for the first one.")
    features: dict[str, str] = Field(default={}, description="Further features by GenICam names, set at the start.")

    def make(self) -> CameraSource:
        need("pypylon.pylon", "camera-basler")
        return CameraSource(lambda: PylonDevice(self))


class PylonDevice(TriggeredCamera):
    """One camera."""

    def __init__(self, settings: PylonSettings) -> None:
        self._pylon = need("pypylon.pylon", "camera-basler")
        self._genicam = need("pypylon.genicam", "camera-basler")
        super().__init__(settings, (self._genicam.GenericException,))
        self._settings = settings
        self._camera: Any = None

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
            self._camera.TriggerSource.Value = self.trigger_source
            self._start()
        except self._genicam.GenericException as error:
            raise PictureError(Code.CAMERA_LOST, first_line(error)) from None

    def close(self) -> None:
        if self._camera is not None:
            self._camera.Close()
            self._camera = None

    def _start(self) -> None:
        self._camera.StartGrabbing(self._pylon.GrabStrategy_OneByOne)

    def restart(self) -> None:
        self._camera.StopGrabbing()
        self._start()

    def fire(self) -> None:
        self._camera.ExecuteSoftwareTrigger()

    def ask(self) -> None:
        if self._camera.IsCameraDeviceRemoved() or not self._camera.IsGrabbing():
            raise PictureError(Code.CAMERA_LOST, "the camera was removed")

    def _set_exposure(self, microseconds: float) -> None:
        """Newer cameras call it ExposureTime, older ones ExposureTimeAbs."""
        nodes = self._camera.GetNodeMap()
        node = nodes.GetNode("ExposureTime") or nodes.GetNode("ExposureTimeAbs")
        node.SetValue(microseconds)

    def flush(self) -> None:
        while (result := self._retrieve(0)) is not None:
            result.Release()

    def _retrieve(self, seconds: float) -> Any:
        handling = self._pylon.TimeoutHandling_Return
        result = self._camera.RetrieveResult(max(0, int(seconds * 1000)), handling)
        return result if result is not None and result.IsValid() else None

    def take(self, until: float) -> Picture:
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
