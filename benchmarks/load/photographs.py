"""Photographs that come with scikit-learn and scikit-image, cropped and varied until they are as many as asked for.

The same number gives the same pixels on any machine with these packages: sizes like ImageNet's, textures like a
camera's. What a loader costs depends on the bytes per image, which is why noise or drawings would not do.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from fastssl.data.source import Item, SourceInfo

PICTURES = {
    "astronaut": "skimage/data/astronaut.png",
    "chelsea": "skimage/data/chelsea.png",
    "china": "sklearn/datasets/images/china.jpg",
    "coffee": "skimage/data/coffee.png",
    "flower": "sklearn/datasets/images/flower.jpg",
    "hubble": "skimage/data/hubble_deep_field.jpg",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "rocket": "skimage/data/rocket.jpg",
}
"""Name (and class) -> file inside the package; all are in the public domain or free to use."""
SIZES = ((375, 500), (500, 375), (333, 500), (375, 500), (500, 333), (375, 500), (500, 500), (281, 500))
"""Height and width, about as often as among ImageNet's photographs after shrinking to 500 pixels."""
LEAST_SHARE = 0.7
"""Of the largest window of the wanted shape: a smaller one would be blown up, and so be smoother than a photograph."""
DARKER = (0.03, 0.25)
"""By what share: never brighter, as that would blow out a sky that is white already."""
GRAIN = 3.0
"""Standard deviation of the noise that is added, in levels: resizing has taken the camera's own, and a patch of sky
without any looks like an image that was not decoded."""


@dataclass(frozen=True)
class PhotographSource:
    """`count` variations of the photographs, or, with `side`, squares of that side (shrunken, like CIFAR's)."""

    count: int
    side: int | None = None

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(name="photographs", class_names=tuple(PICTURES), origin="scikit-learn and scikit-image")

    @property
    def labels(self) -> Int64[np.ndarray, "n"]:
        return np.arange(self.count, dtype=np.int64) % len(PICTURES)

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        names = list(PICTURES)
        for position in positions.tolist():
            pixels = _vary(_picture(names[position % len(names)]), position, self.side)
            yield Item(position, pixels, f"photograph {position}")


def recipe() -> str:
    """Eight hexadecimal digits that change when the photographs may have changed."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]


def missing_packages() -> str | None:
    """None, or one line that says what to install."""
    packages = sorted({path.split("/")[0] for path in PICTURES.values()})
    absent = [package for package in packages if find_spec(package) is None]
    return f"{', '.join(absent)} not installed: pip install --group bench" if absent else None


@cache
def _picture(name: str) -> UInt8[np.ndarray, "h w 3"]:
    package, _, inside = PICTURES[name].partition("/")
    found = find_spec(package)
    assert found is not None, missing_packages()
    assert found.origin is not None, f"{package} has no file"
    with Image.open(Path(found.origin).parent / inside) as image:
        return np.array(image.convert("RGB"))


def _vary(picture: UInt8[np.ndarray, "h w 3"], number: int, side: int | None) -> UInt8[np.ndarray, "h w 3"]:
    """A window, resized, perhaps mirrored, a little darker, with grain: decided by the number alone."""
    draw = np.random.default_rng(number)
    height, width = (side, side) if side else SIZES[number // len(PICTURES) % len(SIZES)]
    window = _window(picture, height / width, draw)
    shrinks = window.shape[0] > height
    resized = cv2.resize(window, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    if draw.random() < 0.5:
        resized = resized[:, ::-1]
    grain = draw.normal(0, GRAIN, (height, width, 1))
    return (resized * (1 - draw.uniform(*DARKER)) + grain).clip(0, 255).round().astype(np.uint8)


def _window(picture: np.ndarray, aspect: float, draw: np.random.Generator) -> np.ndarray:
    """A part of the picture that is `aspect` times as high as wide."""
    tall, wide = picture.shape[:2]
    most = min(wide, tall / aspect)
    width = int(most * draw.uniform(LEAST_SHARE, 1))
    height = max(1, int(width * aspect))
    top, left = int(draw.integers(tall - height + 1)), int(draw.integers(wide - width + 1))
    return picture[top : top + height, left : left + width]
