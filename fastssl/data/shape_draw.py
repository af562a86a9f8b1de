"""Where a drawn image's numbers come from, and what surrounds the object: ground, lamp and sensor noise.

Only additions, products and lookups, no matrix library: the same bytes come out whatever the number of threads.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastssl.kernels.philox import philox4x32, uniform

Floats: TypeAlias = NDArray[np.floating[Any]]
Positions: TypeAlias = NDArray[np.int64]
FIELDS = (
    *("centre_x", "centre_y", "radius", "angle", "stretch", "frequency", "polarity", "saturation"),
    *("hue_a", "hue_b", "hue_ground", "lightness_light", "lightness_dark", "lightness_ground"),
    *("clouds", "light", "light_angle", "noise"),
)
"""The nuisances of one image, each an independent uniform number in [0, 1); their order is part of the dataset."""
OP_FIELDS, OP_NOISE, OP_SHADE, OP_TINT = 0, 1, 1 << 12, 2 << 12


@dataclass(frozen=True)
class Draws:
    """Counter-based randomness of one split: counter (image, split and op, block, 0), key = the seed's two words."""

    seed: int
    split: int

    def fields(self, index: Positions) -> dict[str, Floats]:
        """Each nuisance of each image, shape (n, 1, 1)."""
        drawn = np.asarray(uniform(self._words(index, OP_FIELDS, len(FIELDS))), dtype=np.float32)
        return {name: drawn[:, k, None, None] for k, name in enumerate(FIELDS)}

    def bytes(self, index: Positions, op: int, count: int) -> Floats:
        """Coarse numbers, 256 steps in [-.5, .5), a quarter of the cost; shape (n, count)."""
        words = self._words(index, op, -(-count // 4)).astype("<u4")
        return words.view(np.uint8)[:, :count].astype(np.float32) / np.float32(256) - np.float32(0.5)

    def _words(self, index: Positions, op: int, count: int) -> Positions:
        """32-bit words as int64, shape (n, count)."""
        shape = (len(index), -(-count // 4))
        image, block = np.broadcast_to(index[:, None], shape), np.broadcast_to(np.arange(shape[1]), shape)
        where, zero = np.full((1, 1), self.split << 16 | op, dtype=np.int64), np.zeros((1, 1), dtype=np.int64)
        words = philox4x32((image, where, block, zero), (self.seed & 0xFFFFFFFF, self.seed >> 32 & 0xFFFFFFFF))
        return np.stack(words, axis=-1).reshape(len(index), -1)[:, :count]


def axis(num: int) -> Floats:
    """Pixel centres from -1 to 1."""
    return ((np.arange(num, dtype=np.float32) + np.float32(0.5)) / np.float32(num)) * 2 - 1


def hsl(hue: Floats, saturation: Floats, lightness: Floats) -> Floats:
    """Hue in turns, saturation and lightness 0-1, to RGB 0-1 along a new last axis."""
    k = (np.asarray([0, 8, 4], dtype=np.float32) + 12 * hue[..., None]) % 12
    ramp = np.clip(np.minimum(k - 3, 9 - k), -1, 1)
    reach = (saturation * np.minimum(lightness, 1 - lightness))[..., None]
    return lightness[..., None] - reach * ramp


def ground(draws: Draws, index: Positions, field: dict[str, Floats], size: int) -> tuple[Floats, Floats]:
    """Background with a photograph's falling spectrum, (n, size, size, 3), and its shade, (n, size, size, 1).

    Octaves of smooth value noise shade a colour. Doubling the frequency divides an octave's amplitude by sqrt(2), so
    power falls as f^-3, a little smoother than photographs' f^-2 (Field 1987); coarse octaves also tint.
    """
    shade = np.zeros((len(index), 1, size, size), dtype=np.float32)
    tint = np.zeros((len(index), 3, size, size), dtype=np.float32)
    for cells in (2 << k for k in range(int(np.log2(size)) - 1)):
        weight = np.float32(0.8 / np.sqrt(cells))
        shade += weight * _clouds(draws, index, OP_SHADE + cells, 1, cells, size)
        if cells <= 8:
            tint += weight * _clouds(draws, index, OP_TINT + cells, 3, cells, size)
    shade, tint = shade.transpose(0, 2, 3, 1), tint.transpose(0, 2, 3, 1)
    base = hsl(field["hue_ground"], 0.1 * field["saturation"], 0.3 + 0.4 * field["lightness_ground"])
    return base + (0.15 + 0.45 * field["clouds"])[..., None] * (shade + np.float32(0.35) * tint), shade


def _clouds(draws: Draws, index: Positions, op: int, channels: int, cells: int, size: int) -> Floats:
    """Value noise in [-.5, .5): random knots on a lattice, smoothstep between; shape (n, channels, size, size)."""
    side = cells + 1
    knots = draws.bytes(index, op, channels * side * side).reshape(-1, channels, side, side)
    at = (axis(size) + 1) / 2 * cells
    low = np.minimum(at.astype(np.int64), cells - 1)
    part = (at - low).astype(np.float32)
    part = part * part * (3 - 2 * part)
    rows = knots[:, :, low] + part[:, None] * (knots[:, :, low + 1] - knots[:, :, low])
    return rows[..., low] + part * (rows[..., low + 1] - rows[..., low])


def light(field: dict[str, Floats], size: int) -> Floats:
    """A lamp to one side: a factor that rises by up to a quarter from the middle to an edge; (n, size, size, 1)."""
    angle = np.float32(2 * np.pi) * field["light_angle"]
    slope = np.cos(angle) * axis(size)[None, None, :] + np.sin(angle) * axis(size)[None, :, None]
    return (1 + 0.25 * field["light"] * slope)[..., None]


def noise(draws: Draws, index: Positions, field: dict[str, Floats], size: int) -> Floats:
    """Sensor noise: uniform per pixel and channel, standard deviation .006 to .035 of the range; (n, size, size, 3)."""
    level = draws.bytes(index, OP_NOISE, size * size * 3).reshape(-1, size, size, 3)
    return (0.02 + 0.10 * field["noise"])[..., None] * level
