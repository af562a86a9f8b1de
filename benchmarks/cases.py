"""What is measured: a case is a set of views to be made of a batch, on a device, with a number of threads."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from fastssl.augment.presets import get_preset
from fastssl.views import ViewSpec

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SMALL, PHOTO = (32, 32), (375, 500)
"""Height and width of the sources: CIFAR's, and the commonest of ImageNet's photographs."""
OWN = ("cpu", "kornia", "reference", "fused")
"""Names of this library's backends among the contestants."""
PEERS = ("kornia own", "kornia own, sliced", "torchvision v2", "torchvision PIL")
STAGES = ("sample", "apply")
MOST_OPERATION_IMAGES = {32: 512, 224: 64}
"""Images per batch in the groups of operations, by the view's side: a hundred contestants share one process."""


@dataclass(frozen=True)
class Case:
    name: str
    specs: tuple[ViewSpec, ...]
    height: int
    width: int
    batch: int
    contestants: tuple[str, ...]
    threads: int = 1
    device: str = "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """What a training step takes: float32 on a CPU, bfloat16 on a GPU."""
        return torch.bfloat16 if self.device == "cuda" else torch.float32

    @property
    def num_views(self) -> int:
        return self.batch * len(self.specs)

    @property
    def bytes_per_view(self) -> int:
        """Least traffic: the crop's mean share of a uint8 image read once, the view written once; a mean over views."""
        read = sum(self.height * self.width * 3 * _mean_share(spec) for spec in self.specs)
        written = sum(3 * spec.size**2 * self.dtype.itemsize for spec in self.specs)
        return round((read + written) / len(self.specs))


def _mean_share(spec: ViewSpec) -> float:
    return 1.0 if spec.crop_scale is None else sum(spec.crop_scale) / 2


def operations(size: int) -> dict[str, ViewSpec]:
    """Each operation alone, happening to every image, on top of the plain view, which is the first."""
    plain = replace(ViewSpec.plain(size), brightness=0, contrast=0, saturation=0, hue=0, **IMAGENET)
    jitter = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    taps = max(3, size // 10 // 2 * 2 + 1)
    changes = {
        "plain (resize, normalise)": {},
        "random resized crop": {"crop_scale": (0.08, 1.0)},
        "pad and crop": {"pad": size // 8},
        "flip": {"flip_p": 1.0},
        "vertical flip": {"vertical_flip_p": 1.0},
        "rotation": {"rotation": 30.0},
        "translation": {"translate": 0.1},
        **{name: {"jitter_p": 1.0, name: value} for name, value in jitter.items()},
        "colour jitter, all four": {"jitter_p": 1.0, **jitter},
        "gray": {"gray_p": 1.0},
        f"blur, {taps} taps": {"blur_p": 1.0, "blur_kernel": taps},
        "solarize": {"solarize_p": 1.0},
        "noise": {"noise_p": 1.0},
        "erase": {"erase_p": 1.0},
    }
    return {name: replace(plain, **change) for name, change in changes.items()}


def pipelines() -> dict[str, tuple[tuple[ViewSpec, ...], tuple[int, int]]]:
    """The presets, by group: specs and the size of the source."""
    small, large = get_preset("simclr-cifar", size=32) * 2, get_preset("simclr", size=224) * 2
    found = {
        "simclr-32": (small, SMALL),
        "simclr-32-bilinear": (_all(small, interpolation="bilinear"), SMALL),
        "simclr-224-no-blur": (_all(large, blur_p=0.0), PHOTO),
        "simclr-224-no-blur-bilinear": (_all(large, blur_p=0.0, interpolation="bilinear"), PHOTO),
        "simclr-224": (large, PHOTO),
        "byol-224": (get_preset("byol", size=224), PHOTO),
        "swav-224": (get_preset("swav", size=224), PHOTO),
    }
    return {name: (_all(specs, **IMAGENET), source) for name, (specs, source) in found.items()}


def _all(specs: tuple[ViewSpec, ...], **changes: Any) -> tuple[ViewSpec, ...]:
    return tuple(replace(spec, **changes) for spec in specs)


def groups(device: str, quick: bool) -> tuple[str, ...]:
    """Names in the order they are run, each in a process of its own."""
    short = ("simclr-32", "simclr-224-no-blur", "ops-32")
    full = (*pipelines(), "ops-32", "ops-224")
    two_cores = ("simclr-32-two-cores",) if device == "cpu" else ()
    return (*(short if quick else full), *two_cores)


def cases(group: str, device: str, quick: bool) -> list[Case]:
    """The cases of one group."""
    own = ("fused", "kornia", "reference") if device == "cuda" else ("cpu", "kornia", "reference")
    if group.startswith("ops-"):
        return list(_operation_cases(group, device, own, quick))
    return list(_pipelines(group, device, own))


def _operation_cases(group: str, device: str, own: tuple[str, ...], quick: bool) -> Iterator[Case]:
    size = int(group.removeprefix("ops-"))
    height, width = SMALL if size == 32 else PHOTO
    batch = min(_batch(size, device), MOST_OPERATION_IMAGES[size]) // (4 if quick else 1)
    contestants = (*own, "kornia own", "torchvision v2", "copy")
    for name, spec in operations(size).items():
        yield Case(f"{group}/{name}", (spec,), height, width, batch, contestants, device=device)


def _pipelines(group: str, device: str, own: tuple[str, ...]) -> Iterator[Case]:
    base = group.removesuffix("-two-cores")
    specs, (height, width) = pipelines()[base]
    batch = _batch(specs[0].size, device)
    if base != group:
        contestants = ("cpu", "kornia", "kornia own", "kornia own, sliced", "copy")
        yield Case(group, specs, height, width, batch, contestants, threads=2, device=device)
        return
    stages = tuple(f"{own[0]}: {stage}" for stage in STAGES)
    contestants = (*own, *PEERS, "torch.compile", "copy", *stages)
    yield Case(group, specs, height, width, batch, contestants, device=device)


def _batch(size: int, device: str) -> int:
    """Images per batch: a training batch, or, for 224 px on a CPU, what a float32 chain makes in about a second."""
    if size == 32:
        return 512
    return 256 if device == "cuda" else 16
