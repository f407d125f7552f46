"""Decodes base64 that comes in pieces, so that neither the text nor the whole body is ever kept beside the bytes."""

from __future__ import annotations

import binascii


class Base64Text:
    """Feed it pieces with `write`, then take the bytes from `finish`. Strict: RFC 4648, padded, without line breaks."""

    def __init__(self, most: int) -> None:
        self._most = most  # bytes; what comes beyond them is checked and not kept
        self._data = bytearray()
        self._rest = b""
        self._ended = False  # by padding, after which nothing may come
        self._valid = True

    def write(self, text: bytes) -> None:
        """Take the next piece of the text."""
        if not self._valid or not text:
            return
        text = self._rest + text
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        if whole:
            self._decode(text[:whole])

    def finish(self) -> bytes | None:
        """The bytes, at most `most` of them; None where the text was not base64."""
        return bytes(self._data) if self._valid and not self._rest else None

    def _decode(self, text: bytes) -> None:
        if self._ended:
            self._valid = False
            return
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            self._valid = False
            self._data.clear()
            return
        self._ended = text.endswith(b"=")
        self._data += data[: max(0, self._most - len(self._data))]
