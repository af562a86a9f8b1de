"""What the writer learns of a dataset while it writes it, for the sidecar and the result."""

from typing import Any

import numpy as np

from fastssl.data.encode import Sample
from fastssl.data.fingerprint import combine_digests

MAX_GROUPS_LISTED = 100


class Measured:
    """Collects samples in the order of their arrival; every result is the same for every order."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels
        self.sizes = np.zeros((len(labels), 2), dtype=np.int64)
        self.payload_sizes = np.zeros(len(labels), dtype=np.int64)
        self._sums = np.zeros((2, 3))
        self._digests = np.zeros((len(labels), 32), dtype=np.uint8)
        self._hashes = np.zeros((len(labels), 16), dtype=np.uint8)
        self.warnings: list[str] = []

    def add(self, sample: Sample) -> None:
        """Note one stored sample."""
        self.sizes[sample.index] = sample.height, sample.width
        self.payload_sizes[sample.index] = len(sample.payload)
        self._sums += sample.channel_sums  # whole numbers below 2**53: exact, so no order changes them
        self._digests[sample.index] = np.frombuffer(sample.digest, dtype=np.uint8)
        self._hashes[sample.index] = np.frombuffer(sample.pixels_hash, dtype=np.uint8)
        if sample.warning is not None:
            self.warnings.append(sample.warning)

    def fingerprint(self) -> str:
        """SHA-256 over the samples in index order."""
        return combine_digests(row.tobytes() for row in self._digests)

    def channel_statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation per channel over all pixels, scaled to 0-1."""
        num_pixels = float(self.sizes.prod(axis=1).sum())
        mean = self._sums[0] / num_pixels
        variance = np.maximum(self._sums[1] / num_pixels - mean**2, 0.0)
        return [round(float(value) / 255, 6) for value in mean], [
            round(float(value) / 255, 6) for value in np.sqrt(variance)
        ]

    def size_range(self) -> dict[str, Any]:
        """Height and width where constant, else null, and their ranges in pixels."""
        low, high = self.sizes.min(axis=0).tolist(), self.sizes.max(axis=0).tolist()
        fixed = [a if a == b else None for a, b in zip(low, high)]
        return {
            "height": fixed[0],
            "width": fixed[1],
            "height_range": [low[0], high[0]],
            "width_range": [low[1], high[1]],
        }

    def duplicates(self) -> dict[str, Any]:
        """Groups of samples with equal pixels; `groups` lists the first hundred, by their first index."""
        keys = self._hashes.view(np.dtype((np.void, 16))).reshape(-1)
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        repeated = np.flatnonzero(counts[inverse] > 1)
        groups: dict[int, list[int]] = {}
        for index in repeated.tolist():
            groups.setdefault(int(inverse[index]), []).append(index)
        crossing = sum(len({int(self.labels[index]) for index in group}) > 1 for group in groups.values())
        return {
            "num_groups": len(groups),
            "num_samples": len(repeated),
            "num_groups_across_labels": crossing,
            "groups": [group[:MAX_GROUPS_LISTED] for group in list(groups.values())[:MAX_GROUPS_LISTED]],
        }


def count_classes(labels: np.ndarray, num_classes: int) -> list[int]:
    """Samples per class; unlabelled samples (-1) are in none."""
    return np.bincount(labels[labels >= 0], minlength=num_classes).tolist()
