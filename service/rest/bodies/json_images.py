"""Reads the JSON form of a request piece by piece: {"images": [{"data": "<base64>", "name": "optional"}]}.

The form is so small that its tokens are known beforehand, so anything else is refused at its first byte, and no more
than `max_images` entries are ever made. `data` is decoded as it arrives. A general parser would build the objects of
the whole body first: 8 MB of `[{}, {}, ...]` take it 2.7 GB and 14 s.
"""

from __future__ import annotations

import json
import re
import sys

from models.imaging.decode import ImageError
from service.errors import MalformedRequest, TooManyImages
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.base64_text import Base64Text
from service.rest.bodies.reader import BodyLimits
from service.rest.bodies.received import clean_folder, clean_name

FORM = 'send {"images": [{"data": "<base64>", "name": "optional"}]}'
KEY_BYTES = 64  # more than the longest key with every letter escaped
NAME_LENGTH = 1024
NAME_BYTES = 12 * NAME_LENGTH  # a character outside the basic plane is two escapes of six bytes
BLANK = re.compile(rb"[ \t\n\r]*+")
INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # a string as far as it has come, without half an escape
ESCAPE_BYTES = 5  # of an escape of six, of which the rest may be missing at the end of a piece
START, ROOT, COLON, ARRAY, FIRST, ENTRY, MEMBER, VALUE, AFTER_MEMBER, AFTER_IMAGE, CLOSE, END = range(12)
# What may follow in each state, and the state that it leads to. ROOT and MEMBER expect a key, VALUE a member's value.
PUNCTUATION = {
    START: {b"{": ROOT},
    COLON: {b":": ARRAY},
    ARRAY: {b"[": FIRST},
    FIRST: {b"{": MEMBER, b"]": CLOSE},
    ENTRY: {b"{": MEMBER},
    AFTER_MEMBER: {b",": MEMBER, b"}": AFTER_IMAGE},
    AFTER_IMAGE: {b",": ENTRY, b"]": CLOSE},
    CLOSE: {b"}": END},
    END: {},
}


class JsonImages:
    """Feed it the pieces with `write`, then take the images from `finish`. Both raise MalformedRequest."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._images: list[EncodedImage] = []
        self._state = START
        self._text = b""
        self._at = 0  # what lies before it in the text has been read
        self._member = ""  # whose value comes next
        self._colon = False  # it has come
        self._in_data = False
        self._data: Base64Text | None = None
        self._name: str | None = None
        self._seen: set[str] = set()

    def write(self, piece: bytes) -> None:
        """Read as far as the pieces allow; raises TooManyImages at the entry that is one too many."""
        self._text, self._at = self._text[self._at :] + piece, 0
        while self._step():
            pass

    def finish(self) -> list[EncodedImage]:
        """The images in the order in which they came."""
        if self._state != END:
            raise self._malformed("the body ends before its JSON does")
        return self._images

    def _step(self) -> bool:
        """Read one token; False where it has not come as a whole."""
        if self._in_data:
            return self._read_data()
        self._at = _end(BLANK, self._text, self._at)
        if self._at == len(self._text):
            return False
        if self._state in (ROOT, MEMBER):
            return self._read_key()
        if self._state == VALUE:
            return self._read_value()
        self._read_sign()
        return True

    def _read_sign(self) -> None:
        sign, known = self._next(), PUNCTUATION[self._state]
        after = known.get(sign)
        if after is None:
            raise self._malformed(f"{' or '.join(map(bytes.decode, known)) or 'nothing more'} expected")
        self._at += 1
        if sign == b"{" and after == MEMBER:
            self._begin_image()
        elif after == AFTER_IMAGE:
            self._end_image()
        self._state = after

    def _read_key(self) -> bool:
        key = self._short_string(KEY_BYTES, "a key")
        if key is None:
            return False
        if key not in (("images",) if self._state == ROOT else ("data", "name")):
            raise self._malformed(f"{key!r} is not known")
        if key in self._seen:
            raise self._malformed(f"{key!r} is there twice")
        if self._state == ROOT:
            self._state = COLON
            return True
        self._seen.add(key)
        self._member, self._state, self._colon = key, VALUE, False
        return True

    def _read_value(self) -> bool:
        """A member's colon, or its value."""
        sign = self._next()
        if not self._colon:
            if sign != b":":
                raise self._malformed(": expected")
            self._at, self._colon = self._at + 1, True
            return True
        if self._member == "name":
            return self._read_name(sign)
        if sign != b'"':
            raise self._malformed("a string expected")
        self._at += 1
        self._data = Base64Text(self._limits.max_image_bytes + 1)  # one byte over is what the decoder refuses
        self._in_data, self._state = True, AFTER_MEMBER
        return True

    def _read_name(self, sign: bytes) -> bool:
        if sign == b"n":
            word = self._text[self._at : self._at + 4]
            if not b"null".startswith(word):
                raise self._malformed("a string or null expected")
            if len(word) < 4:
                return False
            self._at += 4
        else:
            name = self._short_string(NAME_BYTES, "a string or null")
            if name is None:
                return False
            if len(name) > NAME_LENGTH:
                raise self._malformed(f"at most {NAME_LENGTH} characters are taken")
            self._name = name
        self._state = AFTER_MEMBER
        return True

    def _read_data(self) -> bool:
        """As much of `data` as is here; True at its end."""
        assert self._data is not None
        end = _end(INSIDE, self._text, self._at)
        complete = self._text[end : end + 1] == b'"'
        text = self._text[self._at : end]
        if b"\\\\" in text:
            text = b"\\"  # a backslash in the text itself, whatever else there is: no base64
        elif b"\\" in text:
            cut = -1 if complete else text.find(b"\\", max(0, len(text) - ESCAPE_BYTES))
            if cut >= 0:
                end, text = self._at + cut, text[:cut]
            text = self._unescaped(text).encode("utf-8", "surrogatepass")
        self._data.write(text)
        self._at = end + complete
        self._in_data = not complete
        return complete

    def _short_string(self, most: int, what: str) -> str | None:
        """A whole string of `most` bytes at most; None where its end has not come yet."""
        if self._next() != b'"':
            raise self._malformed(f"{what} expected")
        begin = self._at + 1
        end = _end(INSIDE, self._text, begin, begin + most + 1)
        if end > begin + most:
            raise self._malformed(f"a string of at most {most} bytes expected")
        if self._text[end : end + 1] != b'"':
            return None
        text = self._unescaped(self._text[begin:end])
        self._at = end + 1
        return text

    def _unescaped(self, inside: bytes) -> str:
        try:
            return str(json.loads(b'"' + inside + b'"'))
        except ValueError:  # a wrong escape, a control character, or no UTF-8
            raise self._malformed("a string cannot be read") from None

    def _begin_image(self) -> None:
        if len(self._images) >= self._limits.max_images:
            raise TooManyImages(f"at most {self._limits.max_images} images are taken in one request")
        self._data, self._name = None, None
        self._seen.clear()

    def _end_image(self) -> None:
        if self._data is None:
            raise self._malformed("`data` is missing")
        data, error = self._data.finish(), None
        if data is None:
            error = ImageError(
                "image_base64_invalid", "`data` is not base64 (RFC 4648, with padding, without line breaks)"
            )
        name = self._name or ""
        self._images.append(EncodedImage(data or b"", clean_name(name), error, clean_folder(name)))
        self._data = None

    def _next(self) -> bytes:
        return self._text[self._at : self._at + 1]

    def _malformed(self, what: str) -> MalformedRequest:
        at_entry = self._state in (ENTRY, MEMBER, VALUE, AFTER_MEMBER) or self._in_data
        where = f"images.{len(self._images)}" if at_entry else "the body"
        member = f".{self._member}" if self._state == VALUE else ""
        return MalformedRequest(f"{where}{member}: {what}; {FORM}")


def _end(pattern: re.Pattern[bytes], text: bytes, start: int, stop: int = sys.maxsize) -> int:
    """Where a match that begins at `start` ends; for patterns that match the empty text too."""
    found = pattern.match(text, start, stop)
    assert found is not None
    return found.end()
