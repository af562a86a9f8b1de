"""What was drawn for a view, as numbers to predict: the parameters of an augmentation as labels.

A network asked for them cannot forget them (Bordes, Balestriero and Vincent 2023, "parameters of a data augmentation").
With `params = sample_params(batch, specs, seed=seed, epoch=epoch)` and `views = backend.apply_views(batch.images,
params, specs, dtype)`, which is `make_views`, the labels of views[v] are `view_labels(params[v], specs[v], height,
width)`.
"""

import torch
from jaxtyping import Float32
from torch import Tensor

from fastssl.views import ViewParams, ViewSpec

LABELS: tuple[str, ...] = (
    *("crop_y", "crop_x", "crop_height", "crop_width"),
    *("shift_y", "shift_x", "flip", "vertical_flip"),
    *("angle", "translate_y", "translate_x"),
    *("brightness", "contrast", "saturation", "hue", "gray"),
    *("blur_sigma", "solarize", "noise_sigma"),
    *("erase_y", "erase_x", "erase_height", "erase_width"),
)
"""Names of the columns of `view_labels`, in the order of the operations."""


def view_labels(params: ViewParams, spec: ViewSpec, height: int, width: int) -> Float32[Tensor, "b 23"]:
    """One row per sample, its columns named by `LABELS`; on the device of `params`, no host sync.

    Args:
        params: what was drawn for one view of images of `height` x `width` pixels.
        spec: what it was drawn from.
        height, width: of the source images, in pixels.

    Columns, and their values when the operation is off:
        crop_y, crop_x: centre of the crop as a share of the image's height and width, in (0, 1); .5
        crop_height, crop_width: its extent as a share of them, in (0, 1]; 1
        shift_y, shift_x: of pad-and-crop, down and right, as a share of the view's side, up to pad / size; 0
        flip, vertical_flip, gray, solarize: 1 where it happened; 0
        angle: in half turns clockwise, in [-1, 1]; 0
        translate_y, translate_x: down and right as a share of the view's side, in (-1, 1); 0
        brightness, contrast, saturation: the factor, 0 or more; 1
        hue: in turns of the colour wheel, in [-.5, .5]; 0
        blur_sigma: in pixels of the view; 0
        noise_sigma: on values in 0-1; 0
        erase_y, erase_x, erase_height, erase_width: centre and extent of the box as shares of the view, in [0, 1]; 0

    The order of the colour operations and the noise itself are not among them.
    """
    flags = (params.flip, params.vertical_flip, params.gray, params.solarize)
    flip, vertical_flip, gray, solarize = (flag.float()[:, None] for flag in flags)
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    columns = (
        _centre_and_extent(params.crop, height, width),
        params.shift / spec.size,
        *(flip, vertical_flip),
        params.angle[:, None] / 180,
        params.translate / spec.size,
        torch.stack(factors, dim=1),
        *(gray, params.blur_sigma[:, None], solarize, params.noise_sigma[:, None]),
        _centre_and_extent(params.erase, spec.size, spec.size),
    )
    return torch.cat(columns, dim=1).float()


def _centre_and_extent(box: Tensor, height: int, width: int) -> Float32[Tensor, "b 4"]:
    """Of (top, left, height, width) boxes, as shares of what they are cut from."""
    top, left, tall, across = box.unbind(1)
    return torch.stack(((top + tall / 2) / height, (left + across / 2) / width, tall / height, across / width), dim=1)
