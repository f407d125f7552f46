"""Whatever OpenCV can open: a video file, a USB camera by its number, a stream by its address.

A file gives one frame a trigger. A live source has frames in its buffers that were taken before the trigger: so many
are read and dropped as `stale_frames` says, and a frame counts only when it was asked for after the trigger.
"""

from __future__ import annotations

import time
from typing import Literal

import cv2
from pydantic import Field

from service.gateway.codes import Code
from service.gateway.picture import Picture, PictureError
from service.gateway.schema import LineSchema
from service.gateway.sources.camera import CameraSource


class VideoSettings(LineSchema):
    """`[station.source] kind = "video"`."""

    kind: Literal["video"]
    source: str = Field(description="Path of a video file, number of a camera, or address of a stream.")
    stale_frames: int = Field(default=0, ge=0, le=100, description="Frames of the driver's buffers to drop.")

    def make(self) -> CameraSource:
        return CameraSource(lambda: VideoDevice(self))


class VideoDevice:
    """One open source."""

    def __init__(self, settings: VideoSettings) -> None:
        self._settings = settings
        self._capture: cv2.VideoCapture | None = None
        self._number = 0

    def open(self) -> None:
        source = self._settings.source
        capture = cv2.VideoCapture(int(source)) if source.isdigit() else cv2.VideoCapture(source)
        if not capture.isOpened():
            capture.release()
            raise PictureError(Code.CAMERA_LOST, f"OpenCV cannot open {source}")
        self._capture = capture

    def frame(self, seconds: float) -> Picture:
        assert self._capture is not None
        for _ in range(self._settings.stale_frames):
            self._capture.grab()
        done, pixels = self._capture.read()
        if not done or pixels is None:
            raise PictureError(Code.CAMERA_LOST, f"{self._settings.source} gives no more frames")
        self._number += 1
        taken = time.monotonic()
        encoded, data = cv2.imencode(".bmp", pixels)
        if not encoded:
            raise PictureError(Code.PICTURE_FORMAT, "the frame cannot be encoded")
        return Picture(data.tobytes(), "image/bmp", self._number, taken)

    def check(self) -> None:
        if self._capture is None or not self._capture.isOpened():
            raise PictureError(Code.CAMERA_LOST, f"{self._settings.source} is closed")

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
