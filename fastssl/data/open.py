"""One door to every loader."""

from pathlib import Path
from typing import Any, Literal, get_args

import torch

from fastssl.data.damage import OnError, check_on_error
from fastssl.data.decoded import DecodedLoader
from fastssl.data.memory import free_bytes
from fastssl.data.nvjpeg import NvjpegLoader
from fastssl.data.order import Schedule
from fastssl.data.paths import beton_path, betons_dir
from fastssl.data.policy import AnyOrder
from fastssl.data.resident import ResidentLoader
from fastssl.data.served import Served, serve
from fastssl.data.source import Progress
from fastssl.data.subset import Subset
from fastssl.errors import InputError
from fastssl.types import Loader, ViewDrawer

LoaderName = Literal["auto", "crops", "images", "resident", "nvjpeg", "ffcv", "folder"]
KINDS: tuple[str, ...] = get_args(LoaderName)
_MANY_VIEWS = 4
"""From so many views on, a GPU gets whole images and cuts the views itself: the CPU's cost then no longer grows."""


def open_loader(
    kind: str = "auto",
    dataset: str | Path = "",
    split: str = "train",
    batch_size: int = 256,
    seed: int = 0,
    order: AnyOrder = "random",
    drop_last: bool = True,
    fraction: float = 1.0,
    holdout: float = 0.0,
    indices: str = "",
    label_noise: float = 0.0,
    subset_seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 2,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    gather: bool = True,
    views: ViewDrawer | None = None,
    on_error: OnError = "raise",
    scaled: bool = False,
) -> Loader:
    """A loader of a dataset by name (its beton in `betons_dir()`), or of a path that ends in `.beton`.

    - `resident`: all images decoded once, in the device's memory;
    - `crops`: `views` are drawn first, and cut while the images are decoded, each image once;
    - `images`: the same, but the device cuts the views from the images;
    - `nvjpeg`: the stored bytes in host memory; a GPU decodes them, and cuts the views;
    - `ffcv`: FFCV's own loader, for images of one size;
    - `folder`: torchvision's ImageFolder and torch's DataLoader, for images of one size;
    - `auto`: `resident` when all images fit in a quarter of the device's free memory; else `crops`, or `images` where
      there are no `views`, many views on a GPU, or one without antialias. `describe()["reason"]` says why.

    `views` draws them (`augment.draw.Drawer`); batches then carry the draw, and `make_views` must be asked for the
    same. With images of several sizes it must be given. `on_error="skip"` leaves damaged samples out of their batches,
    and counts them (`Batch.skipped`). `scaled` lets `crops` decode JPEGs at a fraction of their size where every crop
    shrinks that much: quicker, and no longer equal to the resize of the whole image.

    `order` is `policy.OrderConfig`'s, or a name for one without options.
    `fraction`, `holdout`, `indices`, `label_noise` and `subset_seed` choose samples and labels as `subset.Subset` says;
    with `holdout`, split "train" is what it leaves of the train file and "val" what it holds out. `batch_size` is
    shared by `world_size` processes, of which this is number `rank`. `progress` is called while `resident` decodes the
    images and while `nvjpeg` reads them. `gather=False` lets a resident loader leave the gathering of a batch to a
    backend that `reads_rows`; others gather anyway. Raises `InputError` for an unknown kind, a beton that is missing or
    damaged, images of sizes that the loader cannot serve, or bad numbers.
    """
    if kind not in KINDS:
        raise InputError(f"loader={kind!r} is unknown; give one of {', '.join(KINDS)}")
    check_on_error(on_error)
    if kind == "nvjpeg" and not (torch.device(device).type == "cuda" and torch.cuda.is_available()):
        raise InputError(
            f"loader=nvjpeg needs a CUDA device to decode on and device={device} is none; give loader=crops"
        )
    held_out = _is_held_out(dataset, split, holdout)
    subset = Subset(
        holdout=holdout,
        held_out=held_out,
        indices=indices,
        fraction=fraction,
        label_noise=label_noise,
        seed=subset_seed,
    )
    served = serve(find_beton(dataset, "train" if held_out else split), subset, on_error)
    schedule = Schedule(
        num_samples=served.info.num_samples,
        batch_size=batch_size,
        seed=seed,
        order=order,
        drop_last=drop_last,
        offsets=served.offsets,
        rank=rank,
        world_size=world_size,
    )
    reason = "asked for"
    if kind == "auto":
        kind, reason = choose_kind(served, device, views)
    options: dict[str, Any] = {"num_workers": num_workers, "device": device, "reason": reason, "on_error": on_error}
    return loader_of(kind, served, schedule, views=views, progress=progress, gather=gather, scaled=scaled, **options)


def loader_of(
    kind: str,
    served: Served,
    schedule: Schedule,
    *,
    views: ViewDrawer | None,
    progress: Progress | None = None,
    gather: bool = True,
    scaled: bool = False,
    **options: Any,
) -> Loader:
    """The loader of that kind (not `auto`) for samples chosen and put in order already; `options` are every loader's.

    Raises `InputError` as `open_loader` does.
    """
    if scaled and kind != "crops":
        reason = options.get("reason", "asked for")
        raise InputError(f"scaled=True has no effect with loader={kind} ({reason}); give loader=crops, or leave it out")
    if kind == "folder":
        from fastssl.data.folder import FolderLoader  # imports torchvision, for a second and more

        return FolderLoader(served, schedule, **options)
    if kind == "ffcv":
        from fastssl.data.ffcv_loader import FfcvLoader  # imports FFCV, for several seconds

        return FfcvLoader(served, schedule, **options)
    if kind == "resident":
        return ResidentLoader(served, schedule, views=views, progress=progress, gather=gather, **options)
    if kind == "nvjpeg":
        return NvjpegLoader(served, schedule, views=views, progress=progress, **options)
    return DecodedLoader(served, schedule, kind=kind, views=views, scaled=scaled, **options)


def _is_held_out(dataset: str | Path, split: str, holdout: float) -> bool:
    """Whether the split asked for is what `holdout` takes from the train file."""
    if not holdout or split == "train":
        return False
    if split != "val":
        raise InputError(f"holdout={holdout} has no effect on split={split}; give 0, or split train or val")
    name = str(dataset)
    whole = Path(name) if name.endswith(".beton") else beton_path(name, "train")
    val = whole.with_name(f"{whole.stem.removesuffix('-train')}-val.beton")
    if val.is_file():
        raise InputError(f"holdout={holdout} and {val.name} are two validation sets; give holdout 0, or move that file")
    return True


def find_beton(dataset: str | Path, split: str = "train") -> Path:
    """Path of an existing beton. Beside a path `X-train.beton`, other splits are looked for as `X-<split>.beton`."""
    name = str(dataset)
    if not name:
        raise InputError("dataset is empty; give the name of a dataset or the path of a .beton file")
    if name.endswith(".beton"):
        return _split_of_file(Path(name), split)
    path = beton_path(name, split)
    if not path.is_file():
        raise InputError(
            f"dataset={name} has no {path.name} in {betons_dir()}; type `fastssl beton write {name}`{_also(name)}"
        )
    return path


def _split_of_file(path: Path, split: str) -> Path:
    """A path means itself for "train"; serving it for another split would test on what was trained on."""
    if split != "train" and not path.stem.endswith(f"-{split}"):
        if not path.stem.endswith("-train"):
            raise InputError(f"dataset={path} is one split; name files X-train.beton, X-{split}.beton to have {split}")
        path = path.with_name(f"{path.stem.removesuffix('-train')}-{split}.beton")
    if not path.is_file():
        raise InputError(f"dataset={path} is not a file; write it with `fastssl beton write` or mend the path")
    return path


def _also(name: str) -> str:
    splits = sorted(path.stem.removeprefix(f"{name}-") for path in betons_dir().glob(f"{name}-*.beton"))
    return f" (there is split {', '.join(splits)})" if splits else ""


def choose_kind(served: Served, device: torch.device | str, views: ViewDrawer | None) -> tuple[str, str]:
    """The kind that `auto` stands for, and why. `nvjpeg` is none of them: it has not been timed on a GPU yet."""
    needed, free = served.decoded_bytes, free_bytes(device)
    sizes = f"{needed / 1e6:.0f} MB decoded, {free / 1e6:.0f} MB free on {device}"
    if needed <= free / 4:
        return "resident", f"auto: fits in a quarter of free memory ({sizes})"
    beyond = f"auto: does not fit in a quarter of free memory ({sizes})"
    if views is None:
        return "images", f"{beyond}; no views to cut"
    if torch.device(device).type == "cuda" and len(views.specs) >= _MANY_VIEWS:
        return "images", f"{beyond}; {len(views.specs)} views are cheaper to cut on the GPU"
    if not all(spec.antialias for spec in views.specs):
        return "images", f"{beyond}; a view is not antialiased"
    return "crops", beyond
