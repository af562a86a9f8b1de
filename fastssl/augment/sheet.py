"""A picture of what a spec does: every image beside its views, with what was drawn for each written under it."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from fastssl.augment import get_backend, make_views
from fastssl.augment.sample import sample_views
from fastssl.errors import InputError
from fastssl.telemetry.files import write_atomically
from fastssl.types import AugmentBackend, Batch
from fastssl.views import ViewKey, ViewParams, ViewSpec

_CELL_INCHES = 1.7
_LETTERS = "bcsh"
"""Brightness, contrast, saturation, hue, in captions."""


def view_sheet(
    images: UInt8[Tensor, "b 3 h w"],
    specs: Sequence[ViewSpec],
    out: Path,
    *,
    seed: int = 0,
    epoch: int = 0,
    index: Tensor | None = None,
    backend: AugmentBackend | None = None,
) -> Path:
    """Writes a PNG with one row per image: the original with its crops drawn in, then one view per spec; gives `out`.

    `index` is the images' positions in their dataset (0, 1, ... when None), so that the views are those of a run with
    that seed and epoch. Views are shown before normalisation. Waits for the device; meant for a handful of images.
    """
    if not len(images) or not specs:
        raise InputError(f"images={len(images)}, specs={len(specs)}: a sheet needs at least one of each")
    index = torch.arange(len(images), device=images.device) if index is None else index.to(images.device)
    specs = [replace(spec, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)) for spec in specs]
    params = sample_views(specs, ViewKey(seed, epoch, 0, index), *images.shape[2:])
    batch = Batch(images=images, labels=torch.zeros_like(index), index=index)
    backend = backend or get_backend("auto", images.device)
    views = make_views(batch, specs, backend, seed=seed, epoch=epoch, dtype=torch.float32)
    title = f"backend {backend.name}, seed {seed}, epoch {epoch}"
    write_atomically(out, _draw(images, views, params, title, index))
    return out


def _draw(images: Tensor, views: Sequence[Tensor], params: Sequence[ViewParams], title: str, index: Tensor) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = len(images), len(views) + 1
    figure = Figure(figsize=(_CELL_INCHES * width, 1.35 * _CELL_INCHES * height + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=8)
    axes = figure.subplots(height, width, squeeze=False)
    for row in range(height):
        _show(axes[row, 0], images[row] / 255, f"sample {int(index[row])}\n{images.shape[2]} x {images.shape[3]} px")
        for column, (view, drawn) in enumerate(zip(views, params, strict=True)):
            colour = f"C{column}"
            _outline(axes[row, 0], drawn.crop[row], colour)
            _show(axes[row, column + 1], view[row], caption(drawn, row), colour)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _show(axis: Any, pixels: Tensor, text: str, colour: str = "black") -> None:
    axis.imshow(pixels.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy(), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(text, fontsize=5.5, family="monospace")
    for spine in axis.spines.values():
        spine.set_color(colour)


def _outline(axis: Any, crop: Tensor, colour: str) -> None:
    from matplotlib.patches import Rectangle

    top, left, height, width = crop.tolist()
    axis.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.2))


def caption(params: ViewParams, row: int) -> str:
    """What was drawn for one view, in three or four short lines; operations that are off are left out."""
    top, left, height, width = params.crop[row].tolist()
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    drawn = [float(factor[row]) for factor in factors]
    lines = [f"crop {height}x{width} at {top},{left}"]
    if drawn != [1.0, 1.0, 1.0, 0.0]:
        shown = [f"{_LETTERS[op]}{drawn[op]:.2f}" for op in params.jitter_order[row].tolist()]
        lines += [" ".join(shown[:2]), " ".join(shown[2:])]
    words = [name for name in ("flip", "gray", "solarize") if bool(getattr(params, name)[row])]
    if float(params.blur_sigma[row]) > 0:
        words.append(f"blur {float(params.blur_sigma[row]):.2f}")
    return "\n".join([*lines, " ".join(words)])
