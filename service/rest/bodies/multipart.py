"""Reads the `image` parts of a multipart/form-data body that comes in pieces, in memory and never in a temporary file.

The parser is python-multipart's streaming one; the rules are ours: only the fields that are named, a bounded number
of images, and of an oversized one no more bytes than show that it is too large.
"""

from __future__ import annotations

from collections.abc import Collection
from email.message import Message

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from service.errors import MalformedRequest, TooManyImages, UnsupportedBody
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.reader import BodyLimits
from service.rest.bodies.received import clean_folder, clean_name

FIELD = "image"


class ImageParts:
    """Feed it the pieces with `write`, then take the images from `finish`.

    A field of `others` may come once beside the images; `other` has its bytes.
    """

    def __init__(self, content_type: str, limits: BodyLimits, others: Collection[str] = ()) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise UnsupportedBody("multipart/form-data must name its boundary")
        self._limits = limits
        self.other: dict[str, bytes] = {}
        self._others = others
        self._field = FIELD
        self._images: list[EncodedImage] = []
        self._begun = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._file_name: str | None = None
        self._data = bytearray()
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._on_data,
                    "on_part_end": self._end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise MalformedRequest(f"multipart: {error}") from error

    def write(self, piece: bytes) -> None:
        """Parse the next piece; raises MalformedRequest or TooManyImages."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise MalformedRequest(f"multipart: {error}") from error

    def finish(self) -> list[EncodedImage]:
        """The images in the order in which they came; raises MalformedRequest where the last boundary is missing."""
        if not self._complete:
            raise MalformedRequest("the multipart body ends before its closing boundary")
        return self.take()

    def take(self) -> list[EncodedImage]:
        """Those that are whole and have not been taken yet, so that a long body need not be held as a whole."""
        taken, self._images = self._images, []
        return taken

    def _begin(self) -> None:
        self._disposition = b""
        self._file_name = None
        self._data = bytearray()

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        self._field = "" if name is None else name.decode("utf-8", "replace")
        if self._field != FIELD and self._field not in self._others:
            named = "without a name" if name is None else repr(self._field[:64])
            raise MalformedRequest(f"form field {named} is not known; send every image as a field named 'image'")
        if self._field in self.other:
            raise MalformedRequest(f"form field {self._field!r} came twice")
        if self._field == FIELD:
            if self._begun >= self._limits.max_images:
                raise TooManyImages(f"at most {self._limits.max_images} images are taken in one request")
            self._begun += 1
        if b"filename" in options:
            self._file_name = options[b"filename"].decode("utf-8", "replace")
        elif b"filename*" in self._disposition.lower():
            self._file_name = extended_file_name(self._disposition)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        room = self._limits.max_image_bytes + 1 - len(self._data)  # one byte over is what makes the decoder refuse it
        if room > 0:
            self._data += data[start : min(end, start + room)]

    def _end(self) -> None:
        if self._field != FIELD:
            self.other[self._field] = bytes(self._data)
            return
        name = self._file_name or ""
        self._images.append(EncodedImage(bytes(self._data), clean_name(name), folder=clean_folder(name)))
        self._data = bytearray()

    def _on_end(self) -> None:
        self._complete = True


def extended_file_name(disposition: bytes) -> str:
    """The name of `filename*=UTF-8''...` (RFC 8187), which the parser leaves out; "" where it cannot be read."""
    header = Message()
    header["content-disposition"] = disposition.decode("latin-1")
    return header.get_filename("")
