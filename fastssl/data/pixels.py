"""From whatever a source gives (an encoded file, an array) to uint8 RGB of the size that is stored."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from fastssl.data.format import MAX_SIDE_PX
from fastssl.data.jpeg import JpegError, JpegInfo, decode_jpeg, read_jpeg_info
from fastssl.data.options import WriteOptions
from fastssl.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
_PIL_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
Image.init()  # PIL loads its rarer formats late, and a list of formats that names one of them would raise
_EXIF_ORIENTATION = 0x0112
_GRAY_DEPTH = {"I;16": 8, "I;16L": 8, "I;16B": 8, "I": 8}
"""PIL clips these 16-bit modes when it converts them; the upper byte is the 8-bit picture."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """One decoded image."""

    rgb: UInt8[np.ndarray, "h w 3"]
    original: bytes | None
    """The file's own bytes when they are a JPEG that any reader decodes to exactly these pixels."""
    warning: str | None
    """What libjpeg found odd about a file that could still be read."""


def load_pixels(image: bytes | np.ndarray, name: str, options: WriteOptions) -> Pixels:
    """Decode and resize one image; raises `InputError` that names it when it is no image, or too large a one."""
    pixels = _from_array(image, name) if isinstance(image, np.ndarray) else _from_bytes(image, name, options.max_pixels)
    resized = resize(pixels.rgb, options.max_side, options.square)
    if max(resized.shape[:2]) > MAX_SIDE_PX:
        raise InputError(
            f"{name} has a side of {max(resized.shape[:2])} pixels; a beton holds {MAX_SIDE_PX}: give max_side"
        )
    return pixels if resized is pixels.rgb else Pixels(resized, None, pixels.warning)


def resize(rgb: UInt8[np.ndarray, "h w 3"], max_side: int | None, square: int | None) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Shrink to `max_side`, or resize the shorter side to `square` and crop the centre; the input if neither applies.

    PIL's bilinear filter, which widens when it shrinks (antialias): torchvision's Resize and CenterCrop of PIL images.
    """
    height, width = rgb.shape[:2]
    if square is not None:
        shorter = min(height, width)
        rgb = _resize_to(rgb, int(square * height / shorter), int(square * width / shorter))
        top, left = (round((side - square) / 2.0) for side in rgb.shape[:2])
        return rgb if rgb.shape[:2] == (square, square) else rgb[top : top + square, left : left + square]
    if max_side is not None and max(height, width) > max_side:
        scale = max_side / max(height, width)
        return _resize_to(rgb, max(1, round(height * scale)), max(1, round(width * scale)))
    return rgb


def _resize_to(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


def _from_array(image: np.ndarray, name: str) -> Pixels:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"{name} is an array of {image.dtype} and shape {image.shape}; give uint8 (h, w, 3) or (h, w)")
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if image.shape[2] != 3:
        raise InputError(f"{name} has {image.shape[2]} channels; give 3 (RGB) or 1 (grey)")
    return Pixels(np.ascontiguousarray(image), None, None)


def _from_bytes(data: bytes, name: str, max_pixels: int) -> Pixels:
    info, warning = read_jpeg_info(data), None
    if info is not None:
        _check_size(info.height, info.width, name, max_pixels)
        if info.num_components in (1, 3) and not (info.has_exif and _is_rotated(data)):
            try:
                rgb = decode_jpeg(data, info.height, info.width)
                return Pixels(rgb, data if _any_reader_decodes(info) else None, None)
            except JpegError as error:  # PIL reads on through some damage: not fatal, but told
                warning = f"{name}: {error}"
    return Pixels(_decode_with_pil(data, name, max_pixels), None, warning)


def _any_reader_decodes(info: JpegInfo) -> bool:
    return info.baseline and info.num_components == 3


def _is_rotated(data: bytes) -> bool:
    """Whether EXIF asks for the picture to be turned; unreadable EXIF counts as turned, so that PIL decides."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return image.getexif().get(_EXIF_ORIENTATION, 1) != 1
    except (OSError, ValueError, SyntaxError, TypeError):
        return True


def _decode_with_pil(data: bytes, name: str, max_pixels: int) -> UInt8[np.ndarray, "h w 3"]:
    try:
        with Image.open(io.BytesIO(data), formats=_PIL_FORMATS) as image:
            _check_size(image.height, image.width, name, max_pixels)
            upright = ImageOps.exif_transpose(image)
            return _to_rgb(upright)
    except InputError:
        raise
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not an image ({_show_start(data)}); remove it or give a dataset of images"
        ) from error
    except Exception as error:  # a decoder fed hostile bytes may raise anything; every one of them names the member
        raise InputError(f"{name} cannot be decoded ({error}); replace the file or remove it") from error


def _to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """RGB; alpha is dropped, as `Image.convert` and torchvision's loader do."""
    if image.mode in _GRAY_DEPTH:
        gray = np.asarray(image).astype(np.int64)
        return np.repeat((gray >> _GRAY_DEPTH[image.mode]).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    if height < 1 or width < 1:
        raise InputError(f"{name} has {height}x{width} pixels; replace the file or remove it")
    if height * width > max_pixels:
        raise InputError(
            f"{name} claims {height}x{width} pixels, more than max_pixels={max_pixels}; remove it or raise max_pixels"
        )


def _show_start(data: bytes) -> str:
    return f"{len(data)} bytes beginning {data[:8]!r}" if data else "it is empty"
