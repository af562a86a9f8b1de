"""Claim C0: do the pipelines give the same distribution of views as torchvision's own PIL pipeline?

Loader, sampler and backend are run as in training and compared with torchvision's transforms, those that the spec turns
on (`reference.torchvision_pipeline`), on the same images. The crop is not believed but measured: a coordinate ramp of
the same size goes through the same crop and flip (in `crops`, which cuts them itself, through the loader too), and the
box is read back from its pixels.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fastssl.augment import Drawer, get_backend, make_views
from fastssl.data.open import KINDS, find_beton, open_loader
from fastssl.data.order import Schedule, epoch_order
from fastssl.data.served import Served, serve
from fastssl.errors import InputError
from fastssl.parity.cut import crop_distance, serve_ramps
from fastssl.parity.reference import NUM_DRAWS, Reference, draw_reference
from fastssl.parity.report import ParityReport, ParityRow
from fastssl.parity.statistics import (
    CHANNELS,
    MeasuredCrops,
    coordinate_ramp,
    ks_bound,
    ks_distance,
    pixel_statistics,
    read_crops,
)
from fastssl.types import Batch, Views
from fastssl.views import OFF, ViewSpec

MakeViews = Callable[[Batch, Sequence[ViewSpec]], Views]

_BATCH = 64
_T_VALUE = 4.69
"""Two-sided p = 1e-4 of Student's t with 23 degrees of freedom: 24 draws of the reference measure the noise."""
_SLACK_LEVELS = 2.0
"""PIL rounds to whole levels of 255 after each of up to five operations, and `Image.blend` truncates; a float pipeline
does not. Two levels hold the sum of those shifts."""
_P_VALUE = 1e-3
"""Of the Kolmogorov-Smirnov tests and of the flip rate, each, when the pipelines are the same."""
_Z = 3.2905
"""Two-sided p = 1e-3 of the normal distribution."""
_ROUNDED_LEVELS = 0.5
"""Mean distance of crops in whole levels to exact ones: at most half a level each."""
_PIXEL_LEVELS = 2.0
"""Mean difference between two JPEG decoders, in levels: fast and slow DCT, plain and smooth chroma upsampling."""


@dataclass(frozen=True)
class _Collected:
    views: Tensor
    crops: MeasuredCrops
    index: Int64[Tensor, "n"]
    labels: Int64[Tensor, "n"]
    pixel_levels: float
    """Mean distance of the loader's pixels (images, or the first view's crops) to those that the beton's make, in
    levels, of the worst image."""
    cut: bool
    """Whether the loader cut the views."""


def run_parity(
    dataset: str | Path,
    loaders: Sequence[str] = ("crops", "images", "resident", "ffcv", "folder"),
    spec: ViewSpec | None = None,
    *,
    num_images: int = 2000,
    seed: int = 0,
    backend: str = "auto",
    views: int = 2,
    split: str = "train",
    num_workers: int = 2,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> ParityReport:
    """Compare each loader's views with torchvision's, on `num_images` images of the dataset (at most all).

    `spec` is the default `ViewSpec` at the images' shorter side when None; its mean and std, when None, are the
    dataset's. `progress` gets a line before each part. Raises `InputError` as `open_loader` and `get_backend` do.
    """
    if not loaders or num_images < 8 or views < 1:
        raise InputError(f"loaders={tuple(loaders)}, num_images={num_images}, views={views}: give 1, 8, 1 or more")
    for kind in loaders:
        if kind not in KINDS:
            raise InputError(f"loaders={kind} is unknown; give some of {', '.join(KINDS)}")
    say = progress or (lambda line: None)
    augment_backend = get_backend(backend, device)
    served = serve(find_beton(dataset, split))
    served.require_one_size("parity")
    info = served.info
    spec = spec or ViewSpec(size=min(info.height, info.width))
    spec = spec.with_statistics(info.mean, info.std)
    num_images = min(num_images, info.num_samples)

    def make(batch: Batch, specs: Sequence[ViewSpec]) -> Views:
        return make_views(batch, specs, augment_backend, seed=seed, epoch=0, dtype=torch.float32)

    say(f"reference: torchvision on {num_images} images of {info.name}")
    chosen = served.source[epoch_order(seed, 0, info.num_samples)[:num_images]]
    reference = draw_reference([served.beton.decode(int(i)) for i in chosen], spec, seed=seed)
    rows = []
    for kind in loaders:
        say(f"loader {kind}")
        drawer = Drawer((spec,) * views, seed) if kind == "crops" else None
        options = {"batch_size": _BATCH, "seed": seed, "drop_last": False}
        loader = open_loader(kind, served.path, num_workers=num_workers, device=device, views=drawer, **options)
        with closing(loader):
            ramps = None
            if drawer is not None:
                schedule = Schedule(num_samples=info.num_samples, **options)
                ramps = serve_ramps(served, schedule, (_crop_and_flip(spec),) * views)
            rows += check_pipeline(
                kind, loader.epoch(0), make, served, spec, reference, num_images=num_images, views=views, ramps=ramps
            )
    return ParityReport(
        dataset=info.name,
        fingerprint=info.fingerprint,
        backend=augment_backend.name,
        num_images=num_images,
        views=views,
        seed=seed,
        spec=asdict(spec),
        rows=tuple(rows),
    )


def check_pipeline(
    name: str,
    batches: Iterable[Batch],
    make: MakeViews,
    served: Served,
    spec: ViewSpec,
    reference: Reference,
    *,
    num_images: int,
    views: int = 2,
    ramps: Iterator[Batch] | None = None,
) -> list[ParityRow]:
    """The rows of one contestant; `spec` says what its views are meant to be, mean and std included.

    `ramps` serves in step what a loader that cuts the views makes of coordinate ramps; else the ramps take the place of
    its images.
    """
    got = _collect(batches, make, served, spec, num_images, views, ramps)
    return [
        *_pixel_rows(name, pixel_statistics(got.views, spec), reference, spec, views),
        *_geometry_rows(name, got.crops, reference, spec, served.info.height, served.info.width),
        *_content_rows(name, got, served),
    ]


def _collect(
    batches: Iterable[Batch],
    make: MakeViews,
    served: Served,
    spec: ViewSpec,
    num_images: int,
    views: int,
    ramps: Iterator[Batch] | None,
) -> _Collected:
    height, width = served.info.height, served.info.width
    geometry, cut = _crop_and_flip(spec), False
    made, ramped, taken, worst = [], [], [], 0.0
    for batch in _first(batches, num_images):
        ramp = _with_ramps(batch, height, width) if ramps is None else _cut_to(next(ramps), len(batch.index))
        made += [view.cpu() for view in make(batch, (spec,) * views)]
        ramped += [view.cpu() for view in make(ramp, (geometry,) * views)]
        taken.append((batch.index.cpu(), batch.labels.cpu()))
        worst, cut = max(worst, _pixel_distance(batch, served)), bool(batch.crops)
    index, labels = (torch.cat(parts) for parts in zip(*taken, strict=True))
    return _Collected(torch.cat(made), read_crops(torch.cat(ramped), height, width), index, labels, worst, cut)


def _with_ramps(batch: Batch, height: int, width: int) -> Batch:
    ramp = coordinate_ramp(height, width).to(batch.images.device).expand_as(batch.images)
    return replace(batch, images=ramp.contiguous(memory_format=torch.channels_last))


def _crop_and_flip(spec: ViewSpec) -> ViewSpec:
    """The spec with everything off but the crop and the flip left to right, which are read back from pixels."""
    kept = {**OFF, "flip_p": spec.flip_p}
    return replace(spec, **kept, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def _first(batches: Iterable[Batch], num_images: int) -> Iterator[Batch]:
    for batch in batches:
        kept = min(num_images, len(batch.index))
        yield _cut_to(batch, kept)
        num_images -= kept
        if num_images == 0:
            return


def _cut_to(batch: Batch, count: int) -> Batch:
    draw = batch.draw and replace(batch.draw, tables=batch.draw.tables[:, :count])
    crops = tuple(crop[:count] for crop in batch.crops)
    return Batch(batch.images[:count], batch.labels[:count], batch.index[:count], draw=draw, crops=crops)


def _pixel_distance(batch: Batch, served: Served) -> float:
    stored = np.stack([served.beton.decode(int(served.source[i])) for i in batch.index.cpu()])
    if batch.crops:
        return float(crop_distance(batch, stored).max())
    pixels = batch.images.permute(0, 2, 3, 1).cpu().numpy()
    return float(np.abs(pixels.astype(np.float32) - stored).mean(axis=(1, 2, 3)).max())


def _pixel_rows(
    name: str, value: dict[str, float], reference: Reference, spec: ViewSpec, views: int
) -> list[ParityRow]:
    assert spec.std is not None
    slack = {channel: _SLACK_LEVELS / 255 / std for channel, std in zip(CHANNELS, spec.std, strict=True)}
    spread = _T_VALUE * math.sqrt(1 / views + 1 / NUM_DRAWS)
    return [
        ParityRow(
            loader=name,
            statistic=statistic,
            value=value[statistic],
            reference=expected,
            distance=abs(value[statistic] - expected),
            bound=spread * reference.noise[statistic] + slack.get(statistic.split()[0], 0.0),
            reason=f"{spread:.1f} sd between {NUM_DRAWS} torchvision draws + {_SLACK_LEVELS:g} levels",
        )
        for statistic, expected in reference.mean.items()
    ]


def _geometry_rows(
    name: str, crops: MeasuredCrops, reference: Reference, spec: ViewSpec, height: int, width: int
) -> list[ParityRow]:
    flips, num_views = float(crops.flipped.float().mean()), len(crops.flipped)
    flip_bound = _Z * math.sqrt(spec.flip_p * (1 - spec.flip_p) / num_views)
    in_order = float(crops.channels_in_order.float().mean())
    rows = [
        ParityRow(
            name, "flip rate", flips, spec.flip_p, abs(flips - spec.flip_p), flip_bound, f"binomial p={_P_VALUE}"
        ),
        ParityRow(name, "channel order", in_order, 1.0, 1.0 - in_order, 0.0, "exact: every view of the ramp"),
    ]
    got, expected = (_crop_statistics(boxes, height, width) for boxes in (crops.boxes, reference.crops))
    for statistic, values in got.items():
        expect = expected[statistic]
        distance = ks_distance(values, expect)
        bound = ks_bound(len(values), len(expect), _P_VALUE)
        row = (float(np.median(values)), float(np.median(expect)), distance, bound)
        rows.append(ParityRow(name, statistic, *row, f"two-sample Kolmogorov-Smirnov, p={_P_VALUE}; medians shown"))
    return rows


def _crop_statistics(boxes: Int64[Tensor, "n 4"], height: int, width: int) -> dict[str, np.ndarray]:
    top, left, crop_height, crop_width = boxes.double().numpy().T
    return {
        "crop area": crop_height * crop_width / (height * width),
        "crop aspect": np.log(crop_width / crop_height),
        "crop left": left / width,
        "crop top": top / height,
    }


def _content_rows(name: str, got: _Collected, served: Served) -> list[ParityRow]:
    right = float((got.labels.numpy() == served.labels[got.index.numpy()]).mean())
    exact = bool(np.all(np.asarray(served.beton.modes)[served.source[got.index.numpy()]] == 1))
    bound = 0.0 if exact else _PIXEL_LEVELS
    reason = "raw pixels are exact" if exact else "two JPEG decoders, worst image's mean difference in levels"
    if got.cut:
        bound, reason = bound + _ROUNDED_LEVELS, f"{reason}; crops are rounded to whole levels"
    return [
        ParityRow(name, "label agreement", right, 1.0, 1.0 - right, 0.0, "exact"),
        ParityRow(name, "pixel distance", got.pixel_levels, 0.0, got.pixel_levels, bound, reason),
    ]
