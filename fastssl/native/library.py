"""The compiled library, loaded by ctypes, which releases the interpreter's lock during every call."""

import ctypes
from functools import cache

import numpy as np

MESSAGE_BYTES = 256
SAMPLE = np.dtype(
    [("offset", "<u8"), ("bytes", "<u8"), ("height", "<i4"), ("width", "<i4"), ("jpeg", "<i4"), ("unused", "<i4")]
)
"""`Sample` of batch.h."""
_REMEDY = "`python -m fastssl.native.build` compiles it and says what it lacks"


class CView(ctypes.Structure):
    """`View` of views.c."""

    _fields_ = (
        ("crops", ctypes.c_void_p),
        ("words", ctypes.c_int64),
        ("out", ctypes.c_void_p),
        ("size", ctypes.c_int32),
        ("cubic", ctypes.c_int32),
    )


class CSource(ctypes.Structure):
    """`Source` of batch.h."""

    _fields_ = (
        ("bytes", ctypes.c_void_p),
        ("size", ctypes.c_uint64),
        ("samples", ctypes.c_void_p),
        ("messages", ctypes.c_void_p),
    )


class CCrops(ctypes.Structure):
    """`Crops` of views.c."""

    _fields_ = (
        ("source", CSource),
        ("views", ctypes.POINTER(CView)),
        ("num_views", ctypes.c_int32),
        ("scaled", ctypes.c_int32),
    )


class CImages(ctypes.Structure):
    """`Images` of images.c."""

    _fields_ = (
        ("source", CSource),
        ("boxes", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    )


@cache
def load() -> ctypes.CDLL | str:
    """The library, or one line that says why there is none."""
    from fastssl.native.build import LIBRARY, sources_digest  # here, so that `-m fastssl.native.build` runs it once

    if not LIBRARY.exists():
        return f"the native decoder is not compiled; {_REMEDY}"
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.fs_sources.restype = ctypes.c_char_p
        made_from = library.fs_sources().decode()
    except (OSError, AttributeError) as error:
        return f"the native decoder does not load ({error}); {_REMEDY}"
    if made_from != sources_digest():
        return f"the native decoder was compiled from other sources ({made_from}); {_REMEDY}"
    return _declare(library)


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    library.fs_pool_open.argtypes, library.fs_pool_open.restype = [ctypes.c_int32], ctypes.c_void_p
    library.fs_pool_close.argtypes, library.fs_pool_close.restype = [ctypes.c_void_p], None
    for run, batch in ((library.fs_make_crops, CCrops), (library.fs_read_images, CImages)):
        run.argtypes, run.restype = [ctypes.c_void_p, ctypes.POINTER(batch), ctypes.c_int64], ctypes.c_int64
    library.fs_choose_path.argtypes, library.fs_choose_path.restype = [ctypes.c_int32], ctypes.c_int32
    return library
