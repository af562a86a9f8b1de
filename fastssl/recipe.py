"""A run is a value: one frozen `Recipe` says all of it, and its hash names it.

`Recipe.identity(...)` covers every field that changes the result, the dataset's fingerprint included, so two runs share
a directory only when they would produce the same numbers.
"""

import dataclasses
import hashlib
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from fastssl.augment import BackendName, Drawer
from fastssl.data.damage import OnError
from fastssl.data.open import LoaderName
from fastssl.data.policy import OrderConfig
from fastssl.data.subset import Subset
from fastssl.errors import InputError
from fastssl.methods import MethodConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.views import ViewSpec, specs_in_turn

RESULT_FREE = ("name", "data.workers", "checkpoint_s")
"""Dotted names of the fields that change what a run is called or how fast it is, never what it gives."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images, how many of them, and who serves them."""

    dataset: str = "demo"
    """Name of a written dataset (`fastssl beton write NAME`)."""
    train_split: Literal["train", "unlabeled"] = "train"
    """The split to learn from; probes fit on `train` in either case."""
    loader: LoaderName = "auto"
    """See `data.open.open_loader`; auto keeps the images in memory where they fit, else cuts crops while it decodes."""
    on_error: OnError = "raise"
    """`skip` leaves damaged images out of their batches, and counts them in log and record."""
    scaled_decode: bool = False
    """Let loader crops decode JPEGs at 1/2, 1/4, 1/8 of their size where every crop shrinks that much."""
    order: OrderConfig = field(default_factory=OrderConfig)
    """With `sliding`, an epoch is one window."""
    fraction: float = 1.0
    """Class-balanced share of the training images to learn from, in (0, 1]."""
    holdout: float = 0.0
    """Class-balanced share of the training images kept for `--test-split val`, in [0, 1); no file is rewritten."""
    indices: str = ""
    """A .npy or .txt file of positions in the beton to learn from; by default all."""
    label_noise: float = 0.0
    """Share of the training labels replaced by another class; probes see the true ones."""
    subset_seed: int = 0
    """Which images for `fraction` and `holdout`, which labels for `label_noise`."""
    workers: int = 2
    """Threads (of folder: processes) that serve batches; changes speed, never a pixel."""

    def __post_init__(self) -> None:
        Subset(holdout=self.holdout, fraction=self.fraction, label_noise=self.label_noise)  # which names a bad share


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """How often, and on what, the encoder is probed. Probing stops the clock."""

    probes: int = 5
    """Evaluations over the run, evenly spaced in progress; the last one is the final weights."""
    test_split: Literal["test", "val"] = "test"
    """`val` while choosing hyperparameters, so that the test split stays unseen."""
    probe_central: float = 1.0
    """Probed is the central square with this share of the shorter side: all of a square image; .875 is ImageNet's."""
    probe_size: int | None = None
    """Side of the view that is probed, in pixels; None is that of the recipe's first view. A network that learnt from
    small random crops sees things there at the scale of a larger whole image."""
    knn_k: int = 20
    """Neighbours that vote; 20 suits some thousand images per class, 200 suits ImageNet."""
    knn_temperature: float = 0.07

    @property
    def plain_words(self) -> str:
        """What is unusual about the plain view, for a protocol; empty for all of the image at the first view's size."""
        square = "" if self.probe_central == 1.0 else f"; central {self.probe_central:g} of the shorter side"
        return square + ("" if self.probe_size is None else f"; view of {self.probe_size} px")

    def __post_init__(self) -> None:
        if self.probes < 1:
            raise InputError(f"probes={self.probes} measures nothing; give 1 or more")
        if self.probe_size is not None and self.probe_size < 1:
            raise InputError(f"probe_size={self.probe_size} is not a view's side; give a positive number of pixels")
        if self.knn_k < 1:
            raise InputError(f"knn_k={self.knn_k} leaves no neighbour to vote; give 1 or more")
        if not self.knn_temperature > 0:
            raise InputError(f"knn_temperature={self.knn_temperature} cannot divide similarities; give more than 0")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run. Component configs own their fields; flags on the command line are these fields' names."""

    name: str
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    method: MethodConfig = field(default_factory=SimCLRConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    spec: ViewSpec = field(default_factory=ViewSpec)
    """The first view, and every view where `more_specs` is empty; its size is the probe's, where that has none."""
    more_specs: tuple[ViewSpec, ...] = ()
    """Specs of the second, third, ... view; view v follows the v-th of (spec, *more_specs), in turn."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    views: int = 2
    """Augmented views per image and step."""
    batch_size: int = 256
    """Images per step (not views), over all processes; they share it equally."""
    epochs: int | None = 100
    """Passes over the training images (over one window of a sliding order); None when `budget_s` is given."""
    budget_s: float | None = None
    """Seconds of training clock to spend instead of a number of epochs; the schedule ends when the budget does."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto is what the device computes in hardware: bf16, else fp16 on a GPU and fp32 on a CPU (where bf16 in software
    takes ten times as long)."""
    sync_bn: bool = False
    """Several processes normalise by the statistics of all their images (SyncBN); one process does so anyway."""
    compile: bool = False
    """Run the encoder through torch.compile; its warm-up is charged to the clock's compile phase."""
    backend: BackendName = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    checkpoint_s: float = 60.0
    """Least seconds between two checkpoints; 0 saves after every step."""

    def __post_init__(self) -> None:
        if self.views < 1:
            raise InputError(f"views={self.views} leaves nothing to look at; give 1 or more")
        if self.views <= len(self.more_specs):
            raise InputError(
                f"views={self.views} leaves some of the {1 + len(self.more_specs)} specs (spec and more_specs) without "
                f"a view; give {1 + len(self.more_specs)} or more"
            )
        smallest = min(spec.size for spec in (self.spec, *self.more_specs))
        if smallest < self.model.least_size:
            raise InputError(
                f"size={smallest} is too small a view for arch={self.model.arch}; give {self.model.least_size} or more"
            )
        if self.plain_view.size < self.model.least_size:
            raise InputError(
                f"probe_size={self.plain_view.size} is too small a view for arch={self.model.arch}; "
                f"give {self.model.least_size} or more"
            )
        if self.batch_size < 2:
            raise InputError(f"batch_size={self.batch_size} has no batch statistics; give 2 or more")
        if self.epochs is None and self.budget_s is None:
            raise InputError("epochs=None and budget_s=None leave the run without an end; give one of them")
        if self.epochs is not None and self.budget_s is not None:
            raise InputError(
                f"epochs={self.epochs} and budget_s={self.budget_s} contradict each other; give one as None"
            )
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"epochs={self.epochs} trains nothing; give 1 or more")
        if self.budget_s is not None and not self.budget_s > 0:
            raise InputError(f"budget_s={self.budget_s} is not a time; give a number of seconds above 0")

    def specs(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> tuple[ViewSpec, ...]:
        """One spec per view; the dataset's own mean and std stand in where the recipe names none."""
        return tuple(spec.with_statistics(mean, std) for spec in self.drawer.specs)

    @property
    def drawer(self) -> Drawer:
        """Draws the views, for loaders that cut them: the recipe's specs, before a dataset's statistics are known."""
        return Drawer(specs_in_turn((self.spec, *self.more_specs), self.views), self.seed)

    @property
    def plain_view(self) -> ViewSpec:
        """The one undistorted view that is probed; its mean and std are those of the first view."""
        plain = ViewSpec.plain(self.probe.probe_size or self.spec.size, self.probe.probe_central)
        return dataclasses.replace(plain, mean=self.spec.mean, std=self.spec.std)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that `from_json` turns back into an equal recipe."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Recipe":
        """Errors: `InputError` for an unknown or missing field: a recipe of another version is not guessed at."""
        return _build(cls, values, "recipe")

    def identity(self, **facts: str) -> str:
        """Hex SHA-256 of everything that changes the result; `facts` adds what only the machine knows
        (dataset fingerprint; device, loader and backend as resolved)."""
        content = {"recipe": _without(self.to_json(), RESULT_FREE), "facts": facts}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    kept = {}
    for key, value in values.items():
        if key not in names:
            inner = tuple(name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}."))
            kept[key] = _without(value, inner) if isinstance(value, dict) else value
    return kept


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - {f.name for f in dataclasses.fields(kind)})  # pyright: ignore[reportArgumentType]
    if unknown:
        raise InputError(f"{where} has the unknown field {unknown[0]!r}; it was written by another version of fastssl")
    built = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        raise InputError(f"{where} is incomplete ({error}); it was written by another version of fastssl") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, dict):
        candidates = [c for c in _members(hint) if dataclasses.is_dataclass(c)]
        if len(candidates) > 1:  # a union of component configs: each carries its own `kind`
            candidates = [c for c in candidates if c.kind == value.get("kind")]  # pyright: ignore
        if len(candidates) != 1:
            raise InputError(f"{where} has kind={value.get('kind')!r}, which this version of fastssl does not know")
        return _build(candidates[0], value, where)  # pyright: ignore
    if isinstance(value, list | tuple):
        item = (*typing.get_args(hint), None)[0]  # of a tuple of dataclasses; numbers need no building
        return tuple(_convert(item, inner, f"{where}[{i}]") for i, inner in enumerate(value))
    return value


def _members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)
