"""A picture of what specs do: every image beside its views, with what was drawn for each written under it."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fastssl.augment import Drawer, get_backend, sample_params
from fastssl.errors import InputError
from fastssl.telemetry.files import write_atomically
from fastssl.types import AugmentBackend, Batch
from fastssl.views import ViewParams, ViewSpec

_CELL_INCHES = 1.7
_NARROWEST = 0.65
"""Least width of a column, as a share of a cell, so that a caption fits under a small view."""
_FONT_POINTS = 6.0
_CHAR_INCHES = 0.605 * _FONT_POINTS / 72
_LINE_INCHES = 1.25 * _FONT_POINTS / 72
_KEY = (
    "b c s h: brightness, contrast, saturation, hue, in the order they were applied.  "
    "Boxes: height x width at top,left; shift and move: down,right; in pixels (crop: of the image; else of the view)."
)
_LETTERS = "bcsh"
_HARD_SPACE = "\N{NO-BREAK SPACE}"


def view_sheet(
    images: UInt8[Tensor, "b 3 h w"] | Sequence[UInt8[Tensor, "3 _ _"]],
    specs: Sequence[ViewSpec],
    out: Path,
    *,
    seed: int = 0,
    epoch: int = 0,
    index: Tensor | None = None,
    backend: AugmentBackend | None = None,
    name: str = "views",
) -> Path:
    """Writes a PNG with one row per image: the original with its crops drawn in, then one view per spec; gives `out`.

    Images may differ in size; each fills its field. `index` is their positions in their dataset (0, 1, ... when None),
    so that the views are those of a run with that seed and epoch. Views of different sizes are drawn to one scale, and
    shown with the normalisation undone; where a spec names no mean and std, these images' own stand in. `name` opens
    the title. Waits for the device; meant for a handful of images. Errors: `InputError` without an image or a spec, and
    as `check_out`.
    """
    check_out(out)
    if not len(images) or not specs:
        raise InputError(f"images={len(images)}, specs={len(specs)}: a sheet needs at least one of each")
    images = list(images)
    specs, device = _filled(specs, images), images[0].device
    index = torch.arange(len(images), device=device) if index is None else index.to(device)
    backend = backend or get_backend("auto", device)
    batch = _batch(images, index, Drawer(tuple(specs), seed), epoch)
    params = sample_params(batch, specs, seed=seed, epoch=epoch)
    views = [
        view * torch.tensor(spec.std, device=view.device)[:, None, None]
        + torch.tensor(spec.mean, device=view.device)[:, None, None]
        for view, spec in zip(backend.apply_views(batch.images, params, specs, torch.float32), specs, strict=True)
    ]
    sizes = " and ".join(str(size) for size in dict.fromkeys(spec.size for spec in specs))
    title = f"{name}: {sizes} px, backend {backend.name}, seed {seed}, epoch {epoch}"
    write_atomically(out, _draw(images, views, params, title, index))
    return out


def check_out(out: Path) -> None:
    """Raises `InputError` for a name that promises another format than the sheet's."""
    if out.suffix.lower() != ".png":
        raise InputError(f"out={out} does not end in .png, the only format of a sheet; give a name that does")


def _batch(images: Sequence[Tensor], index: Int64[Tensor, "b"], drawer: Drawer, epoch: int) -> Batch:
    """Images of several sizes in the upper left corners of one tensor, with a draw that knows their sizes."""
    sizes = np.array([image.shape[1:] for image in images], dtype=np.int64)
    height, width = sizes.max(axis=0).tolist()
    padded = torch.zeros((len(images), 3, height, width), dtype=torch.uint8, device=index.device)
    for room, image in zip(padded, images, strict=True):
        room[:, : image.shape[1], : image.shape[2]] = image
    batch = Batch(images=padded, labels=torch.zeros_like(index), index=index)
    if (sizes == sizes[0]).all():
        return batch
    draw = drawer(epoch, index.cpu().numpy(), sizes)
    return replace(batch, draw=replace(draw, tables=draw.tables.to(index.device)))


def _filled(specs: Sequence[ViewSpec], images: Sequence[Tensor]) -> list[ViewSpec]:
    pixels = torch.cat([image.flatten(1) for image in images], dim=1).float() / 255
    std, mean = (values.tolist() for values in torch.std_mean(pixels, dim=1, correction=0))
    std = [max(value, 1e-3) for value in std]
    return [spec.with_statistics((mean[0], mean[1], mean[2]), (std[0], std[1], std[2])) for spec in specs]


def _draw(
    images: Sequence[Tensor], views: Sequence[Tensor], params: Sequence[ViewParams], title: str, index: Tensor
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    largest = max(view.shape[-1] for view in views)
    widths = [1.0] + [max(_NARROWEST, view.shape[-1] / largest) for view in views]
    captions = [
        [caption(drawn, row, int(_CELL_INCHES * width / _CHAR_INCHES)) for drawn, width in zip(params, widths[1:])]
        for row in range(len(images))
    ]
    lines = max(text.count("\n") + 1 for row in captions for text in row)
    pitch = _CELL_INCHES + (lines + 1) * _LINE_INCHES
    figure = Figure(figsize=(1.08 * _CELL_INCHES * sum(widths), pitch * len(images) + 0.55), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9)
    figure.supxlabel(textwrap.fill(_KEY, int(_CELL_INCHES * sum(widths) / _CHAR_INCHES)), fontsize=_FONT_POINTS)
    axes = figure.subplots(len(images), len(widths), squeeze=False, width_ratios=widths)
    for row, image in enumerate(images):
        _show(axes[row, 0], image / 255, max(image.shape[1:]), 1.0)
        _label(axes[row, 0], f"sample {int(index[row])}\n{image.shape[1]} x {image.shape[2]} px")
        for column, (view, drawn) in enumerate(zip(views, params, strict=True)):
            _outline(axes[row, 0], drawn.crop[row].tolist(), f"C{column}")
            _show(axes[row, column + 1], view[row], largest, widths[column + 1])
            _outline(axes[row, column + 1], [0, 0, *view.shape[2:]], f"C{column}")
            _label(axes[row, column + 1], captions[row][column])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _show(axis: Any, pixels: Tensor, side: int, width: float) -> None:
    """The picture at the foot of a field of `side` x (`width` * `side`) pixels."""
    height, across = pixels.shape[1:]
    axis.imshow(pixels.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy(), interpolation="nearest")
    centre = (across - 1) / 2
    axis.set_xlim(centre - (width * side + 1) / 2, centre + (width * side + 1) / 2)
    axis.set_ylim(height, height - side - 1)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _label(axis: Any, text: str) -> None:
    axis.set_xlabel(text, fontsize=_FONT_POINTS, family="monospace", labelpad=2)


def _outline(axis: Any, box: Sequence[int], colour: str) -> None:
    from matplotlib.patches import Rectangle

    top, left, height, width = box
    axis.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.2))


def caption(params: ViewParams, row: int, width: int = 24) -> str:
    """What was drawn for one view, in the order it is applied, in lines of up to `width` characters; operations that
    are off are left out."""
    parts = [part if len(part) > width else part.replace(" ", _HARD_SPACE) for part in _parts(params, row)]
    return textwrap.fill(" ".join(parts), width, break_on_hyphens=False).replace(_HARD_SPACE, " ")


def _parts(params: ViewParams, row: int) -> list[str]:
    sigma, noise, angle = (float(column[row]) for column in (params.blur_sigma, params.noise_sigma, params.angle))
    happened = [
        ("crop " + _box(params.crop[row]), True),
        ("shift {},{}".format(*params.shift[row].tolist()), bool(params.shift[row].any())),
        ("flip", bool(params.flip[row])),
        ("vertical flip", bool(params.vertical_flip[row])),
        (f"rotate {angle:.1f}", angle != 0),
        ("move {},{}".format(*params.translate[row].tolist()), bool(params.translate[row].any())),
        *((part, True) for part in _jitter(params, row)),
        ("gray", bool(params.gray[row])),
        (f"blur {sigma:.2f}", sigma > 0),
        ("solarize", bool(params.solarize[row])),
        (f"noise {noise:.2f}", noise > 0),
        ("erase " + _box(params.erase[row]), bool(params.erase[row, 2] > 0)),
    ]
    return [part for part, on in happened if on]


def _box(box: Tensor) -> str:
    top, left, height, width = box.tolist()
    return f"{height}x{width} at {top},{left}"


def _jitter(params: ViewParams, row: int) -> list[str]:
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    drawn = [float(factor[row]) for factor in factors]
    shown = [f"{_LETTERS[op]}{drawn[op]:.2f}" for op in params.jitter_order[row].tolist()]
    return [] if drawn == [1.0, 1.0, 1.0, 0.0] else [" ".join(shown[:2]), " ".join(shown[2:])]
