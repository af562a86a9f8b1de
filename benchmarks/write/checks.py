"""What is written must be there when it is read back: every image once, with its label, as it was."""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.load.iterated import Samples

LEVELS = 4.0
"""Of 255: how far, in the mean, an image that was encoded again at quality 90 may be from what the file holds."""


def breaches(samples: Samples, found: Iterable[tuple[Any, int]], keeps: bool) -> list[str]:
    """A line for what is wrong; empty when nothing is. Pixels are compared in the order of the files."""
    return _of_bytes(samples, found) if keeps else _of_pixels(samples, list(found))


def _of_bytes(samples: Samples, found: Iterable[tuple[bytes, int]]) -> list[str]:
    wanted = Counter((_digest(Path(path).read_bytes()), label) for path, label in samples)
    got = Counter((_digest(payload), int(label)) for payload, label in found)
    if got == wanted:
        return []
    missing, other = (wanted - got).total(), (got - wanted).total()
    return [f"{missing} of {len(samples)} images are not there as they were, with their label; {other} others are"]


def _of_pixels(samples: Samples, found: list[tuple[np.ndarray, int]]) -> list[str]:
    if len(found) != len(samples):
        return [f"{len(found)} of {len(samples)} images are there"]
    for (path, label), (pixels, written) in zip(samples, found):
        want = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        if int(written) != label:
            return [f"{Path(path).name}: label {written}, not {label}"]
        if pixels.shape != want.shape:
            return [f"{Path(path).name}: {pixels.shape}, not {want.shape}"]
        if (error := float(np.abs(pixels.astype(int) - want).mean())) > LEVELS:
            return [f"{Path(path).name}: {error:.1f} levels from the file's pixels, not within {LEVELS:g}"]
    return []


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=16).digest()
