"""The functions of Aravis' C library: its Python binding has to be compiled."""

from __future__ import annotations

import ctypes

from service.gateway.codes import Code
from service.gateway.libraries import MissingLibrary
from service.gateway.picture import PictureError

Pointer = ctypes.c_void_p


class GError(ctypes.Structure):
    """GLib's error."""

    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p)]


class Library:
    """The functions of libaravis that are used here; those that can fail raise PictureError."""

    def __init__(self) -> None:
        try:
            self._aravis = ctypes.CDLL("libaravis-0.8.so.0")
            self._gobject = ctypes.CDLL("libgobject-2.0.so.0")
        except OSError as error:
            raise MissingLibrary(f"Aravis is not installed ({error}): apt-get install libaravis-0.8-0") from error

    def try_(self, function: str, *arguments: object, returns: object = None) -> object:
        """Calls a function whose last argument is a GError."""
        call = getattr(self._aravis, function)
        call.restype = returns
        error = ctypes.POINTER(GError)()
        value = call(*arguments, ctypes.byref(error))
        if error:
            raise PictureError(Code.CAMERA_LOST, f"{function}: {(error.contents.message or b'').decode()}")
        return value

    def get(self, function: str, *arguments: object, returns: object = None) -> object:
        """Calls a function that cannot fail."""
        call = getattr(self._aravis, function)
        call.restype = returns
        return call(*arguments)

    def set(self, thing: object, name: str, value: int) -> None:
        """Sets a property of a GObject that is a number."""
        self._gobject.g_object_set(thing, name.encode(), ctypes.c_int(value), None)

    def unref(self, thing: object) -> None:
        self._gobject.g_object_unref(thing)


_library: Library | None = None


def library() -> Library:
    """Loaded once; raises MissingLibrary."""
    global _library  # noqa: PLW0603
    if _library is None:
        _library = Library()
    return _library
