"""Ending and media type of a picture that is kept as it was received, by its first bytes."""

from __future__ import annotations

from models.imaging.stack import is_stack

_KINDS = (
    (b"\x89PNG", ".png", "image/png"),
    (b"\xff\xd8", ".jpg", "image/jpeg"),
    (b"BM", ".bmp", "image/bmp"),
    (b"II", ".tif", "image/tiff"),
    (b"MM", ".tif", "image/tiff"),
    (b"RIFF", ".webp", "image/webp"),
)
STACK = (".tar", "application/x-tar")  # the files of one part
UNKNOWN = (".bin", "application/octet-stream")


def kind_of(data: bytes) -> tuple[str, str]:
    """Ending of the file's name and media type; UNKNOWN for what no format that is read begins with."""
    if is_stack(data):
        return STACK
    return next(((ending, kind) for signature, ending, kind in _KINDS if data.startswith(signature)), UNKNOWN)
