"""Same work, checked before any clock runs: what a contestant's views must be, whatever makes them.

Two kinds of check. A contestant that follows this library's draws must give the reference's views, number for number.
One that draws for itself is held statistically: boxes and flips are read back from ramps that tell where each pixel
came from, and of each other operation it is counted how many views it changed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import Contestant, drawn
from fastssl.augment.reference import ReferenceBackend
from fastssl.parity.reference import torchvision_crops
from fastssl.parity.statistics import coordinate_ramp, ks_bound, ks_distance, read_crops
from fastssl.types import Views
from fastssl.views import ViewSpec

Build = Callable[[Sequence[ViewSpec], int, int], Contestant]
"""The contestant for other specs and another size of source."""

TOLERANCE = {torch.float32: 2e-4, torch.float16: 4e-3, torch.bfloat16: 3.2e-2}
"""Largest error of a view beside the reference's, as in tests/oracle.py (a test holds the two together)."""
PROBE = (96, 128)
"""Height and width of the ramps: small enough for whole levels per pixel, large beside half a pixel of alignment."""
PROBE_SIZE = 48
NUM_PROBES, FEW_PROBES = 512, 64
"""Images per probe, and where nothing is left to chance."""
P_VALUE, Z = 1e-4, 3.89
"""Of each test when the work is the same; a campaign makes some hundred of them."""
LEVEL = 2 / 255
"""A view that no value of has moved by two levels of 255 counts as unchanged; also the slack of the value range."""
_BYTES = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
_OFF = {"flip_p": 0.0, "vertical_flip_p": 0.0, "affine_p": 0.0, "pad": 0, "jitter_p": 0.0, "gray_p": 0.0,
        "blur_p": 0.0, "solarize_p": 0.0, "noise_p": 0.0, "erase_p": 0.0}  # fmt: skip
_COUNTED = ("jitter_p", "gray_p", "blur_p", "solarize_p", "vertical_flip_p", "noise_p", "erase_p", "affine_p")
"""Operations whose views are counted; crop and flip are read from the ramps."""


def breaches(
    contestant: Contestant, build: Build, specs: Sequence[ViewSpec], images: Tensor, dtype: torch.dtype
) -> list[str]:
    """What is wrong with the contestant's views of uint8 `images`, a line each; empty when nothing is.

    `build` makes the same contestant for probes; it is not called for one that follows this library's draws.
    """
    given, as_before = contestant.prepare(images), contestant.prepare(images.clone())
    made = contestant.make(given, 1)
    wrong = list(_shape_breaches(made, specs, len(images), dtype, images.device))
    if wrong:
        return wrong
    if not _alike(given, as_before):
        wrong.append("it has written to its input, which others read too")
    wrong += _range_breaches(made, specs)
    if contestant.ours:
        return wrong + list(_equality_breaches(made, specs, images, dtype))
    for v, spec in enumerate(specs):
        if spec not in specs[:v]:
            wrong += [f"view {v}: {line}" for line in _distribution_breaches(build, spec, images.device)]
    if len(specs) > 1 and specs[0] == specs[1] and specs[0].crop_scale is not None and torch.equal(made[0], made[1]):
        wrong.append("views 0 and 1 are the same: one draw served both")
    return wrong


def _alike(one: Any, other: Any) -> bool:
    """Whether two prepared batches hold the same: tensors, PIL images, or lists of either."""
    if isinstance(one, list):
        return all(map(_alike, one, other))
    return torch.equal(one, other) if isinstance(one, Tensor) else one == other


def _shape_breaches(
    made: Views, specs: Sequence[ViewSpec], batch: int, dtype: torch.dtype, device: torch.device
) -> Iterator[str]:
    if len(made) != len(specs):
        yield f"{len(made)} views, not {len(specs)}"
        return
    for v, (view, spec) in enumerate(zip(made, specs, strict=True)):
        expected = (batch, 3, spec.size, spec.size)
        if tuple(view.shape) != expected:
            yield f"view {v}: shape {tuple(view.shape)}, not {expected}"
        elif view.dtype != dtype:
            yield f"view {v}: {view.dtype}, not {dtype}"
        elif view.device.type != device.type:
            yield f"view {v}: on {view.device.type}, not {device.type}"
        elif not view.is_contiguous(memory_format=torch.channels_last):
            yield f"view {v}: not in channels-last memory"


def _range_breaches(made: Views, specs: Sequence[ViewSpec]) -> Iterator[str]:
    for v, (view, spec) in enumerate(zip(made, specs, strict=True)):
        mean, std = (torch.tensor(values, device=view.device).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
        pixels = view.float() * std + mean
        if not torch.isfinite(pixels).all():
            yield f"view {v}: values that are no numbers"
            continue
        slack = LEVEL + TOLERANCE[view.dtype] * max(spec.std or (1.0,))
        low, high = float(pixels.min()), float(pixels.max())
        if low < -slack or high > 1 + slack:
            yield f"view {v}: values from {low:.3f} to {high:.3f} before normalising, not within 0 to 1"
        if high - low < 0.25:
            yield f"view {v}: values from {low:.3f} to {high:.3f} before normalising show no picture"


def _equality_breaches(made: Views, specs: Sequence[ViewSpec], images: Tensor, dtype: torch.dtype) -> Iterator[str]:
    truth = ReferenceBackend().apply_views(images, drawn(specs, images, 1), specs, torch.float32)
    for v, (view, true) in enumerate(zip(made, truth, strict=True)):
        error = float((view.float() - true).abs().max())
        if not error <= TOLERANCE[dtype]:
            yield f"view {v}: {error:.2g} away from the reference, not within {TOLERANCE[dtype]:g}"


def _distribution_breaches(build: Build, spec: ViewSpec, device: torch.device) -> Iterator[str]:
    yield from _geometry_breaches(build, spec, device)
    happens = {"jitter_p": spec.jitters, "affine_p": spec.warps}
    images = _pictures(device)
    plain = _run(build, _probe(spec, crop_scale=None), images)
    for field in _COUNTED:
        if happens.get(field, getattr(spec, field) > 0):
            yield from _share_breaches(build, spec, field, images, plain)
    if spec.jitters and spec.brightness > 0:
        yield from _brightness_breaches(build, spec, device)


def _run(build: Build, spec: ViewSpec, images: Tensor) -> Tensor:
    contestant = build((spec,), images.shape[2], images.shape[3])
    return contestant.make(contestant.prepare(images), 1)[0].float()


def _probe(spec: ViewSpec, **changes: Any) -> ViewSpec:
    """The spec with everything off but `changes`, at the probe's size, giving values in 0-1."""
    taps = min(spec.blur_kernel, 2 * PROBE_SIZE - 1)
    return replace(spec, **{**_OFF, **_BYTES, "size": PROBE_SIZE, "blur_kernel": taps, **changes})


def _geometry_breaches(build: Build, spec: ViewSpec, device: torch.device) -> Iterator[str]:
    count = FEW_PROBES if spec.crop_scale is None and spec.flip_p in (0.0, 1.0) else NUM_PROBES
    ramps, number = probe_ramps(count)
    ramps = ramps.contiguous(memory_format=torch.channels_last).to(device)
    yield from ramp_breaches(_run(build, _probe(spec, flip_p=spec.flip_p), ramps).cpu(), number, spec)


def probe_ramps(count: int) -> tuple[Tensor, Tensor]:
    """uint8 (count, 3, h, w) of size `PROBE`: ramps whose blue is 8 times their number, and the numbers, 0-31."""
    number = torch.arange(count) % 32
    ramps = coordinate_ramp(*PROBE).repeat(count, 1, 1, 1)
    ramps[:, 2] = (8 * number).view(-1, 1, 1).to(torch.uint8)  # steps that bfloat16 keeps apart, and JPEG
    return ramps, number


def ramp_breaches(views: Tensor, number: Tensor, spec: ViewSpec) -> Iterator[str]:
    """What is wrong with one view each of the ramps with these numbers: whose they are, their flips and boxes.

    `views` are (n, 3, s, s) in 0-1, made with the crop and the flip of `spec` alone.
    """
    blue = (views[:, 2].mean((1, 2)) * (255 / 8)).round().long()
    if not torch.equal(blue, number):
        yield f"{int((blue != number).sum())} of {len(views)} views are not of the image in their place"
    measured = read_crops(torch.cat([views[:, :2], torch.zeros_like(views[:, :1])], 1), *PROBE)
    yield from _binomial("flipped", measured.flipped, spec.flip_p)
    expected = _expected_crops(spec)
    for name, got, want in zip(("crop area", "crop ratio"), _sizes(measured.boxes), _sizes(expected), strict=True):
        bound = ks_bound(len(got), len(want), P_VALUE) + (0.02 if spec.crop_scale else 0.0)
        if spec.crop_scale is None:
            if not np.allclose(got, want.mean(), atol=0.03):
                yield f"{name} {got.min():.2f} to {got.max():.2f}, not the whole image"
        elif (distance := ks_distance(got, want)) > bound:
            yield (f"{name}: {distance:.3f} from torchvision's distribution, not within {bound:.3f} (medians "
                   f"{np.median(got):.3f} and {np.median(want):.3f})")  # fmt: skip


@cache
def _expected_crops(spec: ViewSpec) -> Tensor:
    return torchvision_crops(spec, *PROBE, 20_000, seed=1)


def _sizes(boxes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    height, width = boxes[:, 2].double().numpy(), boxes[:, 3].double().numpy()
    return height * width / (PROBE[0] * PROBE[1]), np.log(width / height)


def _share_breaches(build: Build, spec: ViewSpec, field: str, images: Tensor, plain: Tensor) -> Iterator[str]:
    """How many views one operation alone has changed, beside how many it should have."""
    p = getattr(spec, field)
    count = FEW_PROBES if p == 1.0 else NUM_PROBES
    sigma = (max(spec.blur_sigma[0], spec.blur_sigma[1] / 2), spec.blur_sigma[1])  # a narrower blur shows nowhere
    changed = _run(build, _probe(spec, crop_scale=None, blur_sigma=sigma, **{field: p}), images[:count])
    moved = (changed - plain[:count]).abs().amax((1, 2, 3)) > LEVEL
    yield from _binomial(f"changed by {field.removesuffix('_p')}", moved, p)
    if field == "gray_p":
        spread = (changed.amax(1) - changed.amin(1)).amax((1, 2))[moved]
        if len(spread) and float(spread.max()) > LEVEL:
            yield f"gray views whose channels differ by {float(spread.max()):.3f}"


def _brightness_breaches(build: Build, spec: ViewSpec, device: torch.device) -> Iterator[str]:
    """The factor of each view, read from dark images, where nothing is cut off, beside the uniform distribution."""
    level = 100 if spec.brightness <= 0.8 else 60
    dark = torch.full((NUM_PROBES, 3, PROBE_SIZE, PROBE_SIZE), level, dtype=torch.uint8, device=device)
    probe = _probe(spec, crop_scale=None, jitter_p=1.0, contrast=0.0, saturation=0.0, hue=0.0)
    views = _run(build, probe, dark.contiguous(memory_format=torch.channels_last))
    factors = views.mean((1, 2, 3)).double().cpu().numpy() * 255 / level
    low, high = max(0.0, 1 - spec.brightness), 1 + spec.brightness
    want = low + (high - low) * (np.arange(20_000) + 0.5) / 20_000
    bound = ks_bound(len(factors), len(want), P_VALUE) + 0.5 / level / (high - low)  # a level's rounding
    if (distance := ks_distance(factors, want)) > bound:
        yield f"brightness factors: {distance:.3f} from uniform in {low:g} to {high:g}, not within {bound:.3f}"


def _binomial(name: str, which: Tensor, p: float) -> Iterator[str]:
    """Three views and two in a hundred are allowed on top: a draw near its neutral value shows little."""
    count, total = int(which.sum()), len(which)
    slack = Z * math.sqrt(total * p * (1 - p)) + (3 + 0.02 * total) * (p > 0)
    if abs(count - total * p) > slack:
        yield f"{count} of {total} views {name}, not {total * p:.0f} within {slack:.0f}"


def _pictures(device: torch.device) -> Tensor:
    """Colourful noise at the probe's size: no two pixels alike, so that every operation shows."""
    generator = torch.Generator().manual_seed(0)
    shape = (NUM_PROBES, PROBE_SIZE, PROBE_SIZE, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device).permute(0, 3, 1, 2)
