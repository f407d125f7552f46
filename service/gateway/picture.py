"""One picture on its way from a source to the judge, with what ties it to its trigger."""

from __future__ import annotations

from dataclasses import dataclass

from service.gateway.codes import Code


@dataclass(frozen=True)
class Picture:
    """An encoded picture: PNG, JPEG, BMP, TIFF or WebP bytes.

    `frame_id` is the camera's number of the frame, -1 where there is none. `taken_at` is a time of `time.monotonic()`
    on this machine at which the picture was complete. `name` is the file's name where it came as a file.
    """

    data: bytes
    media_type: str = "image/png"
    frame_id: int = -1
    taken_at: float = 0.0
    name: str = ""


class PictureError(Exception):
    """No picture for this trigger, and why: `code` is what the PLC is told."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
