"""The drawing vocabulary of the embedded dataset: outlines and textures as vectorised functions of the plane.

Both live in the object's own coordinates `(u, v)`: the outline fits about the unit disc and both turn with the object.
An outline is a signed distance (negative inside, in the same unit), so a soft edge is a ramp around zero; a texture is
a wave in [-1, 1] whose sign says which of the two inks shows.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.float32]
Outline: TypeAlias = Callable[[Plane, Plane], Plane]
Texture: TypeAlias = Callable[[Plane, Plane], Plane]
TAU = np.float32(2 * np.pi)


def _polygon(u: Plane, v: Plane, num_sides: int, apothem: float) -> Plane:
    """A regular polygon: the farthest of its sides' half-planes."""
    step = 2 * np.pi / num_sides
    sides = [u * np.float32(np.sin(k * step)) - v * np.float32(np.cos(k * step)) for k in range(num_sides)]
    return np.maximum.reduce(sides) - np.float32(apothem)


def disc(u: Plane, v: Plane) -> Plane:
    return np.sqrt(u * u + v * v) - np.float32(0.92)


def square(u: Plane, v: Plane) -> Plane:
    return np.maximum(np.abs(u), np.abs(v)) - np.float32(0.80)


def triangle(u: Plane, v: Plane) -> Plane:
    return _polygon(u, v, 3, 0.60)


def cross(u: Plane, v: Plane) -> Plane:
    arm_u = np.maximum(np.abs(u) - np.float32(0.98), np.abs(v) - np.float32(0.44))
    arm_v = np.maximum(np.abs(v) - np.float32(0.98), np.abs(u) - np.float32(0.44))
    return np.minimum(arm_u, arm_v)


def flower(u: Plane, v: Plane) -> Plane:
    """Five round petals: a disc whose radius waves with the angle."""
    return np.sqrt(u * u + v * v) - np.float32(0.80) - np.float32(0.24) * np.cos(5 * np.arctan2(v, u))


def stripes(u: Plane, v: Plane) -> Plane:
    return np.sin(TAU * v)


def checks(u: Plane, v: Plane) -> Plane:
    return 2 * np.sin(TAU * u * np.float32(0.62)) * np.sin(TAU * v * np.float32(0.62))


def dots(u: Plane, v: Plane) -> Plane:
    return np.cos(TAU * u * np.float32(0.80)) + np.cos(TAU * v * np.float32(0.80)) - np.float32(0.35)


def rings(u: Plane, v: Plane) -> Plane:
    return np.sin(TAU * np.sqrt(u * u + v * v))


def zigzag(u: Plane, v: Plane) -> Plane:
    """Chevrons: stripes whose height follows a triangle wave."""
    tooth = np.abs(2 * (u * np.float32(0.6) - np.floor(u * np.float32(0.6))) - 1)
    return np.sin(TAU * (v + np.float32(0.95) * tooth))


def spokes(u: Plane, v: Plane) -> Plane:
    return np.sin(8 * np.arctan2(v, u))


def grid(u: Plane, v: Plane) -> Plane:
    near = np.maximum(np.cos(TAU * u * np.float32(0.8)), np.cos(TAU * v * np.float32(0.8)))
    return near - np.float32(0.55)


def spiral(u: Plane, v: Plane) -> Plane:
    return np.sin(np.float32(0.7) * TAU * np.sqrt(u * u + v * v) + 2 * np.arctan2(v, u))


def bricks(u: Plane, v: Plane) -> Plane:
    """Courses of bricks, every second one shifted by half a brick; the joints are the second ink."""
    course = np.floor(v)
    joint_v = np.cos(TAU * v)
    joint_u = np.cos(TAU * (u * np.float32(0.5) + np.float32(0.25) * (course % 2)) * 1)
    return np.float32(0.5) - np.maximum(joint_v, 3 * joint_u - 2)


def plain(u: Plane, v: Plane) -> Plane:
    return np.full_like(u, 1)
