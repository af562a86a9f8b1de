"""Who is measured: this library's backends and its peers, each in the configuration that is best for it.

A contestant is built for specs, a device and a dtype; `prepare` brings a uint8 batch into the form it likes best,
outside the clock; `make` turns that into views, inside it. README.md says why each regime is the best one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from fastssl.augment import get_backend
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample_views
from fastssl.types import Views
from fastssl.views import ViewKey, ViewParams, ViewSpec

Specs = Sequence[ViewSpec]
SEED = 0
COPIED_BYTES = 256 << 20
"""Least that a copy on a GPU reads and writes together: no GPU has such a cache."""


class Unsupported(Exception):
    """A contestant that has no such operation, or is not here; the text says which."""


@dataclass(frozen=True)
class Contestant:
    make: Callable[[Any, int], Views]
    """Views of prepared images; the number is the step, which the draws follow."""
    regime: str
    prepare: Callable[[Tensor], Any] = lambda images: images
    """A uint8 (b, 3, h, w) batch in channels-last memory on the device, to what `make` reads and leaves as it is."""
    ours: bool = False
    """Drawn by this library's sampler, so that the views must be those of the reference, number for number."""
    whole: bool = True
    """Gives views; a stage of one (sampling alone) does not, and has no output to check."""
    views: int | None = None
    """Views that one call stands for; None: those of its batch."""


def build(name: str, specs: Specs, height: int, width: int, device: str, dtype: torch.dtype) -> Contestant:
    """Errors: `Unsupported`."""
    backend, _, stage = name.partition(": ")
    if name == "kornia own":
        return _kornia_own(specs, dtype, device, "resample")
    if name == "kornia own, sliced":
        return _kornia_own(specs, dtype, device, "slice")
    if name == "torchvision v2":
        return _torchvision(specs, dtype, device, pil=False)
    if name == "torchvision PIL":
        return _torchvision(specs, dtype, device, pil=True)
    if name == "torch.compile":
        return _compiled(specs, height, width, dtype)
    if name == "copy":
        return _copy(specs, height, width, device, dtype)
    return _own(backend, stage, specs, height, width, device, dtype)


def drawn(specs: Specs, images: Tensor, step: int) -> list[ViewParams]:
    """What this library draws for the batch at that step."""
    index = torch.arange(len(images), device=images.device)
    return sample_views(specs, ViewKey(SEED, step, 0, index), images.shape[2], images.shape[3])


def _own(name: str, stage: str, specs: Specs, height: int, width: int, device: str, dtype: torch.dtype) -> Contestant:
    try:
        backend = get_backend(name, device)
    except (ValueError, ImportError) as error:
        raise Unsupported(str(error)) from error
    for spec in specs:
        if reason := backend.supports(spec, torch.device(device)):
            raise Unsupported(reason)
    if stage == "sample":
        return Contestant(lambda images, step: _tables(drawn(specs, images, step)), "draws alone", whole=False)
    if stage == "apply":
        fixed: dict[int, list[ViewParams]] = {}

        def apply(images: Tensor, step: int) -> Views:
            slot = step % 4
            if slot not in fixed:
                fixed[slot] = drawn(specs, images, slot)
            return backend.apply_views(images, fixed[slot], specs, dtype)

        return Contestant(apply, "draws made before the clock", whole=False)
    return Contestant(
        lambda images, step: backend.apply_views(images, drawn(specs, images, step), specs, dtype),
        f"sample, then apply_views: {backend.reason}",
        ours=name != "reference",  # the oracle is held statistically, as those who draw for themselves are
    )


def _tables(params: list[ViewParams]) -> Views:
    return tuple(one.table for one in params)


def _compiled(specs: Specs, height: int, width: int, dtype: torch.dtype) -> Contestant:
    """The eager chain of the reference, compiled with its parameters given; our draws come before it, uncompiled."""
    reference = ReferenceBackend()

    @torch.compile(dynamic=False)
    def apply(images: Tensor, tables: list[Tensor]) -> Views:
        return reference.apply_views(images, [ViewParams(table) for table in tables], specs, dtype)

    return Contestant(
        lambda images, step: apply(images, list(_tables(drawn(specs, images, step)))),
        "torch.compile(reference.apply_views, dynamic=False); draws by our sampler, outside the compiled part",
        ours=True,
    )


def _copy(specs: Specs, height: int, width: int, device: str, dtype: torch.dtype) -> Contestant:
    """A copy that reads and writes, together, as many bytes as the views need at least."""
    from benchmarks.cases import Case

    bytes_per_view = Case("", tuple(specs), height, width, 1, (), device=device).bytes_per_view
    if device == "cuda":
        return _large_copy(bytes_per_view, device)

    def copy(images: Tensor, step: int) -> Views:  # rotated, so that no cache helps it more often than the others
        source, target = _buffers(bytes_per_view * len(specs) * len(images) // 2, device, step % 4)
        return (target.copy_(source),)

    return Contestant(copy, "one copy of half the bytes read and written", whole=False)


def _large_copy(bytes_per_view: int, device: str) -> Contestant:
    """The bytes of so many views that they come from memory: those of a batch of small ones stay in a GPU's cache."""
    views = math.ceil(COPIED_BYTES / bytes_per_view)
    source, target = _buffers(views * bytes_per_view // 2, device)
    regime = f"one copy of the bytes of {views:,} views, {COPIED_BYTES >> 20} MiB and more: no cache holds them"
    return Contestant(lambda images, step: (target.copy_(source),), regime, whole=False, views=views)


@cache
def _buffers(num_bytes: int, device: str, slot: int = 0) -> tuple[Tensor, Tensor]:
    """Two, written to before any clock runs, so that their memory is there."""
    source = torch.ones(num_bytes, dtype=torch.uint8, device=device)
    return source, source.clone()


def _normalised(stack: Tensor, spec: ViewSpec, dtype: torch.dtype) -> Tensor:
    """uint8 or float 0-1, channels-last, to normalised views: for the whole batch at once, in place."""
    mean, std = (torch.tensor(values, device=stack.device).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    scale = 255.0 if stack.dtype == torch.uint8 else 1.0
    return stack.float().sub_(mean * scale).div_(std * scale).to(dtype)


def _torchvision(specs: Specs, dtype: torch.dtype, device: str, *, pil: bool) -> Contestant:
    from torchvision.transforms import v2

    if pil and device != "cpu":
        raise Unsupported("PIL images lie on the CPU")
    chains = [(v2.Compose(v2_steps(spec, pil)), v2.RandomErasing(spec.erase_p, spec.erase_scale, spec.erase_ratio))
              for spec in specs]  # fmt: skip

    def stacked(images: list[Any], chain: Any) -> Tensor:
        if not pil:
            return torch.stack([chain(image) for image in images]).contiguous(memory_format=torch.channels_last)
        import numpy as np

        return torch.from_numpy(np.stack([np.asarray(chain(image)) for image in images])).permute(0, 3, 1, 2)

    def make(images: list[Any], step: int) -> Views:
        views = []
        for (chain, erase), spec in zip(chains, specs, strict=True):
            view = _normalised(stacked(images, chain), spec, dtype)
            if spec.erase_p > 0:
                for one in view:
                    one.copy_(erase(one))
            views.append(view)
        return tuple(views)

    def to_pil(images: Tensor) -> list[Any]:
        from PIL import Image

        return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]

    kind = "PIL images" if pil else "uint8 tensors"
    return Contestant(
        make,
        f"transforms.v2, one image at a time, {kind}; normalised for the whole batch",
        to_pil if pil else lambda images: list(images.contiguous().unbind(0)),
    )


def v2_steps(spec: ViewSpec, pil: bool) -> list[Any]:
    from torchvision.transforms import InterpolationMode, v2

    mode, size = InterpolationMode(spec.interpolation), (spec.size, spec.size)
    if spec.crop_scale is None:
        steps: list[Any] = [v2.Resize(size, mode, antialias=spec.antialias)]
    else:
        steps = [v2.RandomResizedCrop(size, spec.crop_scale, spec.crop_ratio, mode, antialias=spec.antialias)]
    if spec.pad:
        steps.append(v2.RandomCrop(size, padding=spec.pad))
    steps += [v2.RandomHorizontalFlip(spec.flip_p)] * (spec.flip_p > 0)
    steps += [v2.RandomVerticalFlip(spec.vertical_flip_p)] * (spec.vertical_flip_p > 0)
    if spec.warps:
        moved = (spec.translate, spec.translate)
        steps.append(v2.RandomApply([v2.RandomAffine(spec.rotation, moved, interpolation=InterpolationMode.BILINEAR)],
                                    spec.affine_p))  # fmt: skip
    if spec.jitters:
        jitter = v2.ColorJitter(spec.brightness, spec.contrast, spec.saturation, spec.hue)
        steps.append(v2.RandomApply([jitter], spec.jitter_p))
    steps += [v2.RandomGrayscale(spec.gray_p)] * (spec.gray_p > 0)
    if spec.blur_p > 0:
        steps.append(v2.RandomApply([v2.GaussianBlur(spec.blur_kernel, spec.blur_sigma)], spec.blur_p))
    steps += [v2.RandomSolarize(255 * spec.solarize_threshold, spec.solarize_p)] * (spec.solarize_p > 0)
    if spec.noise_p > 0:
        if pil or spec.noise_sigma[0] != spec.noise_sigma[1]:
            raise Unsupported("torchvision's noise has one sigma and no PIL images")
        noise = v2.GaussianNoise(sigma=spec.noise_sigma[0])
        steps += [v2.ToDtype(torch.float32, scale=True), v2.RandomApply([noise], spec.noise_p)]
    return steps


def _kornia_own(specs: Specs, dtype: torch.dtype, device: str, cropping: str) -> Contestant:
    """Kornia's own random classes; what they define otherwise is listed in README.md."""
    try:
        from kornia.augmentation import AugmentationSequential
    except ImportError as error:
        raise Unsupported("kornia is not installed") from error
    chains = [
        [AugmentationSequential(*part, data_keys=["input"], same_on_batch=False).to(device) for part in parts]
        for parts in (_kornia_parts(spec, cropping) for spec in specs)
    ]

    def make(images: Tensor, step: int) -> Views:
        floats = images.float().div_(255.0)  # once for all views
        views = []
        with torch.no_grad():
            for first, *rest in chains:
                view = first(floats)
                for chain in rest:
                    view = chain(view.clamp_(0.0, 1.0))
                views.append(view.to(dtype).contiguous(memory_format=torch.channels_last))
        return tuple(views)

    return Contestant(
        make,
        f"one AugmentationSequential per view on a float batch, parameters per sample, cropping_mode={cropping!r}",
        lambda images: images.contiguous(),
    )


def _kornia_parts(spec: ViewSpec, cropping: str) -> list[list[Any]]:
    """The steps, cut where values must be brought back to 0-1: after a bicubic resize and after noise."""
    import kornia.augmentation as K

    size, mode = (spec.size, spec.size), spec.interpolation
    if spec.crop_scale is None:
        steps: list[Any] = [K.Resize(size, resample=mode, antialias=spec.antialias)]
    else:
        steps = [K.RandomResizedCrop(size, spec.crop_scale, spec.crop_ratio, mode, align_corners=False,
                                     cropping_mode=cropping)]  # fmt: skip
    parts = []
    if mode == "bicubic":
        parts, steps = [steps], []
    if spec.pad:
        steps.append(K.RandomCrop(size, padding=spec.pad, align_corners=False, cropping_mode=cropping))
    steps += [K.RandomHorizontalFlip(p=spec.flip_p)] * (spec.flip_p > 0)
    steps += [K.RandomVerticalFlip(p=spec.vertical_flip_p)] * (spec.vertical_flip_p > 0)
    if spec.warps:
        steps.append(K.RandomAffine(spec.rotation, (spec.translate, spec.translate), p=spec.affine_p))
    if spec.jitters:
        steps.append(K.ColorJitter(spec.brightness, spec.contrast, spec.saturation, spec.hue, p=spec.jitter_p))
    steps += [K.RandomGrayscale(p=spec.gray_p)] * (spec.gray_p > 0)
    if spec.blur_p > 0:
        taps = (spec.blur_kernel, spec.blur_kernel)
        steps.append(K.RandomGaussianBlur(taps, spec.blur_sigma, p=spec.blur_p))
    if spec.solarize_p > 0:
        at = (spec.solarize_threshold, spec.solarize_threshold)
        steps.append(K.RandomSolarize(at, (0.0, 0.0), p=spec.solarize_p))
    if spec.noise_p > 0:
        if spec.noise_sigma[0] != spec.noise_sigma[1]:
            raise Unsupported("Kornia's noise has one sigma")
        parts, steps = [*parts, [*steps, K.RandomGaussianNoise(std=spec.noise_sigma[0], p=spec.noise_p)]], []
    steps.append(K.Normalize(torch.tensor(spec.mean), torch.tensor(spec.std)))
    if spec.erase_p > 0:
        steps.append(K.RandomErasing(spec.erase_scale, spec.erase_ratio, spec.erase_value, p=spec.erase_p))
    return [*parts, steps]
