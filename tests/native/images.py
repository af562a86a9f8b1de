"""Images and batches of them for the tests of the native decoder."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from fastssl import native
from fastssl.native.plain import PlainPool

AnyPool = native.Pool | PlainPool
OpenPool = Callable[[int], AnyPool]
Cut = Callable[..., np.ndarray]
"""What the fixture `cut` gives."""
SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Waves, edges and a little noise: something for every DCT coefficient and for chroma, uint8 (h, w, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    planes = [np.sin(x / (3 + 4 * c) + seed) * 60 + np.cos(y / (5 + 3 * c)) * 50 for c in range(3)]
    image = 128 + np.stack(planes, axis=2) + 40 * ((x // 23 + y // 17) % 2)[:, :, None]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def as_jpeg(image: np.ndarray, mode: str | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image, mode).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def whole_decode(data: bytes) -> np.ndarray:
    """Pillow's full decode: the same library elsewhere, accurate transform and smooth upsampling."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def one_batch(images: Sequence[bytes | np.ndarray], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a file that holds the images, JPEG or raw, one after another, and its samples."""
    payloads = [image if isinstance(image, bytes) else image.tobytes() for image in images]
    lengths = np.array([len(payload) for payload in payloads])
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    jpeg = np.array([isinstance(image, bytes) for image in images])
    sizes = np.array([size if isinstance(image, bytes) else image.shape[:2] for image in images])
    return np.frombuffer(b"".join(payloads), np.uint8), native.describe_samples(offsets, lengths, sizes, jpeg)
