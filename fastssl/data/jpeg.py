"""JPEG bytes to pixels and back, by the libjpeg-turbo that FFCV itself decodes with.

FFCV, OpenCV and PIL all decode a damaged scan to grey or zeros without a word. libjpeg-turbo's TurboJPEG interface can
stop at the first warning instead, so a sample that decodes here is whole. Calls release the GIL.
"""

import ctypes
import threading
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fastssl.errors import InputError

# From turbojpeg.h (libjpeg-turbo 2.1).
_PIXEL_FORMAT_RGB = 0
_SAMPLING_420 = 2
_FLAG_STOP_ON_WARNING = 8192
_FLAG_LIMIT_SCANS = 32768

_START_OF_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


class JpegError(Exception):
    """These bytes are not a whole JPEG; the message is libjpeg-turbo's."""


@dataclass(frozen=True, slots=True)
class JpegInfo:
    """What a JPEG's markers say before its first scan; sizes in pixels."""

    height: int
    width: int
    num_components: int
    baseline: bool
    """Huffman-coded baseline with 8 bits per value: not progressive, not arithmetic, not lossless."""
    has_exif: bool


def read_jpeg_info(data: bytes | memoryview) -> JpegInfo | None:
    """Parse the markers up to the first scan; None when the bytes do not begin like a JPEG or end before a frame."""
    view = memoryview(data)
    if view[:3] != b"\xff\xd8\xff":
        return None
    position, frame, has_exif = 2, None, False
    while position + 4 <= len(view):
        if view[position] != 0xFF:
            return None
        marker = view[position + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill byte, or a marker without a length
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (0xDA, 0xD9):
            break
        length = int.from_bytes(view[position + 2 : position + 4], "big")
        segment = view[position + 4 : position + 2 + length]
        if marker == 0xE1 and bytes(segment[:6]) == b"Exif\0\0":
            has_exif = True
        if marker in _START_OF_FRAMES and len(segment) >= 6 and frame is None:
            frame = (marker == 0xC0 and segment[0] == 8, bytes(segment[1:6]))
        position += 2 + length
    if frame is None:
        return None
    baseline, fields = frame
    height, width = int.from_bytes(fields[:2], "big"), int.from_bytes(fields[2:4], "big")
    return JpegInfo(height, width, fields[4], baseline, has_exif)


@cache
def _library() -> ctypes.CDLL:
    """TurboJPEG as FFCV's extension loads it: `dlsym` looks through a library's own dependencies. FFCV itself is not
    imported for it, which takes seconds."""
    package = find_spec("ffcv")
    if package is None or package.origin is None:
        raise InputError("ffcv is not installed, which brings the JPEG decoder; `make setup` installs it")
    library = ctypes.CDLL(str(next(Path(package.origin).parent.glob("_libffcv*.so"))))
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_ulong
    library.tjInitDecompress.restype = pointer
    library.tjInitCompress.restype = pointer
    library.tjDestroy.argtypes = [pointer]
    library.tjGetErrorStr2.argtypes = [pointer]
    library.tjGetErrorStr2.restype = ctypes.c_char_p
    library.tjDecompress2.argtypes = [pointer, pointer, size, pointer, number, number, number, number, number]
    library.tjCompress2.argtypes = [pointer, pointer, number, number, number, number, pointer, pointer]
    library.tjCompress2.argtypes += [number, number, number]
    library.tjBufSize.argtypes = [number, number, number]
    library.tjBufSize.restype = size
    return library


class _Handles:
    """One decompressor and one compressor per thread, freed when the thread ends."""

    def __init__(self) -> None:
        library = _library()
        self.decompressor = library.tjInitDecompress()
        self.compressor = library.tjInitCompress()
        self._destroy = library.tjDestroy  # at the interpreter's end this module's names are gone

    def __del__(self) -> None:
        self._destroy(self.decompressor)
        self._destroy(self.compressor)


_local = threading.local()


def _my_handles() -> _Handles:
    """This thread's handles; the caller keeps the object while TurboJPEG works with them."""
    if not hasattr(_local, "handles"):
        _local.handles = _Handles()
    return _local.handles


def decode_jpeg(data: bytes | memoryview, height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """RGB uint8 pixels of a JPEG of known size; grey images get three equal channels. EXIF rotation is not applied.

    Raises `JpegError` on any libjpeg warning (a truncated or damaged scan) and when the size is another.
    """
    info = read_jpeg_info(data)
    if info is None:
        raise JpegError("not a JPEG")
    if (info.height, info.width) != (height, width):
        raise JpegError(f"{info.height}x{info.width} pixels where {height}x{width} were promised")
    source = np.frombuffer(data, dtype=np.uint8)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    handles, flags = _my_handles(), _FLAG_STOP_ON_WARNING | _FLAG_LIMIT_SCANS
    status = _library().tjDecompress2(
        handles.decompressor,
        source.ctypes.data,
        source.size,
        pixels.ctypes.data,
        width,
        0,
        height,
        _PIXEL_FORMAT_RGB,
        flags,
    )
    if status != 0:
        raise JpegError(_library().tjGetErrorStr2(handles.decompressor).decode("ascii", "replace"))
    return pixels


def encode_jpeg(pixels: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    """Baseline JPEG, chroma halved both ways (4:2:0, as FFCV's writer does), quality 1-100."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    library, handles = _library(), _my_handles()
    target = np.empty(library.tjBufSize(width, height, _SAMPLING_420), dtype=np.uint8)
    pointer, size = ctypes.c_void_p(target.ctypes.data), ctypes.c_ulong(target.size)
    # Flag 1024 (TJFLAG_NOREALLOC): the buffer is numpy's, and tjBufSize is the most a JPEG of this size can take.
    status = library.tjCompress2(
        handles.compressor, pixels.ctypes.data, width, 0, height, _PIXEL_FORMAT_RGB,
        ctypes.byref(pointer), ctypes.byref(size), _SAMPLING_420, quality, 1024,
    )  # fmt: skip
    if status != 0:
        raise JpegError(library.tjGetErrorStr2(handles.compressor).decode("ascii", "replace"))
    return target[: size.value].tobytes()
