"""The known-spectrum toy: a test bed whose best representation is known exactly, and which needs seconds of one core.

Sources are x ~ N(0, I) in k = 64 dimensions; a view adds noise to each dimension, s_j rising linearly from .15 to 3:

    view = Q (x + s * noise) / sqrt(1 + s^2)        noise ~ N(0, I), Q a fixed random orthogonal matrix

Division makes every dimension of unit variance, rotation hides which is which, and two views of a source correlate by
1 / (1 + s_j^2) along column j of Q and not at all otherwise. Those are the eigenvalues and (linear) eigenfunctions of
the augmentation kernel, so the best linear encoder of d dimensions spans the d least noisy columns. A linear encoder is
trained by a method's own loss; what it found is read off its weights: the share of the top 8 columns in its row space,
and the effective rank of its covariance W W' (views are white).

Source: the kernel view of self-supervision as in Agrawal, Ghosh, Oberman, Richards 2023, arXiv 2312.10725. Numbers, the
choices they depend on and how those were found: docs/toy.md. Every draw is a function of (seed, purpose, step, place).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.evals.spectrum import captured, effective_rank
from fastssl.kernels.philox import normal_pair, philox4x32, uniform
from fastssl.methods.barlow_twins import barlow_twins_loss
from fastssl.methods.spectral import spectral_loss
from fastssl.methods.vicreg import vicreg_loss
from fastssl.optim import OptimConfig

Loss: TypeAlias = Callable[[Float[Tensor, "a b d"]], Float[Tensor, ""]]
_KEY = 0x746F79  # "toy": the second word of the key, so that no other draw of the library shares these
_STEPS_DRAWN = 50  # at once: the cost of a draw is in the number of calls
_ROTATION, _WEIGHT, _CHOICE, _SOURCE, _VIEW = range(5)  # what a draw is for; view v has _VIEW + v


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """One run of the toy."""

    objective: Literal["barlow_twins", "vicreg", "spectral"] = "barlow_twins"
    weight: float | None = None
    """Of Barlow Twins' off-diagonal term (None: .1); of VICReg's invariance and variance terms both, covariance has 1
    (None: 25). The spectral loss has none, and takes embeddings of any length."""
    dim: int = 8
    """d, outputs of the encoder."""
    views: int = 2
    num_images: int | None = None
    """A fixed set of sources, of which each step takes `batch_size` at random; None draws new ones at every step."""
    batch_size: int = 128
    steps: int = 1500
    lr: float = 2e-3
    """Of Adam; constant."""
    input_dim: int = 64
    noise_low: float = 0.15
    noise_high: float = 3.0
    top: int = 8
    """How many of the least noisy directions `captured` asks for."""
    measure_at: tuple[int, ...] = ()
    """Steps, besides the last, after which the encoder is measured."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.weight is not None and self.objective == "spectral":
            raise InputError(f"weight={self.weight} has no effect on the spectral loss; give None")
        if self.weight is not None and not self.weight >= 0:
            raise InputError(f"weight={self.weight} is too little; give 0 or more")
        for name, least in (("noise_low", 0), ("dim", 1), ("steps", 1), ("views", 2), ("batch_size", 2)):
            if not getattr(self, name) >= least:
                raise InputError(f"{name}={getattr(self, name)} is too little; give {least} or more")
        if not self.noise_high >= self.noise_low:
            raise InputError(f"noise_high={self.noise_high} is below noise_low={self.noise_low}; give no less")
        if not 1 <= self.top <= self.input_dim:
            raise InputError(f"top={self.top} is not among {self.input_dim} directions; give 1 to {self.input_dim}")
        if self.num_images is not None and self.num_images < self.batch_size:
            raise InputError(f"num_images={self.num_images} fill no batch; give {self.batch_size} or more, or None")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed={self.seed} does not fit 32 bits; give a number from 0 to {2**32 - 1}")

    @property
    def noise(self) -> Float[Tensor, "k"]:
        """s, the deviation of the noise in each dimension."""
        return torch.linspace(self.noise_low, self.noise_high, self.input_dim)

    @property
    def eigenvalues(self) -> Float[Tensor, "k"]:
        """Correlation of two views along each eigen-direction, largest first: the known spectrum."""
        return 1 / (1 + self.noise.square())


@dataclass(frozen=True)
class ToyPoint:
    """The encoder after a step."""

    step: int
    loss: float
    """Of that step's batch, before its update."""
    captured: float
    """Share of the top directions in the encoder's row space, 0 to 1."""
    effective_rank: float
    """Of its covariance, 1 to d."""


@dataclass(frozen=True)
class ToyResult:
    config: ToyConfig
    history: tuple[ToyPoint, ...]
    """In order of steps; the last is the end of the run."""

    @property
    def captured(self) -> float:
        return self.history[-1].captured

    @property
    def effective_rank(self) -> float:
        return self.history[-1].effective_rank


def run_toy(config: ToyConfig, loss: Loss | None = None) -> ToyResult:
    """Trains the encoder on the CPU, one or two milliseconds a step, and measures it.

    `loss`, any function of embeddings (views, images, d), stands in for the config's objective and weight.
    The same config gives the same numbers on the same machine and version of torch.
    """
    with _one_thread():
        return ToyResult(config, tuple(_train(config, loss or _objective(config))))


def eigen_directions(config: ToyConfig) -> Float[Tensor, "k k"]:
    """Row j is eigenfunction j, a unit vector of the space of views: Q transposed."""
    q, r = torch.linalg.qr(_normals(config.seed, _ROTATION, range(1), config.input_dim, config.input_dim)[0])
    return (q * r.diagonal().sign()).T  # signs make it uniform over rotations (Mezzadri 2007)


def draw_views(config: ToyConfig, steps: range, directions: Float[Tensor, "k k"]) -> Float[Tensor, "n a b k"]:
    """The views of each of n steps, white in every direction."""
    seed, shape = config.seed, (config.batch_size, config.input_dim)
    if config.num_images is None:
        sources = _normals(seed, _SOURCE, steps, *shape)
    else:
        order = _words(seed, _CHOICE, steps, config.num_images)[0].argsort()
        sources = _normals(seed, _SOURCE, range(1), config.num_images, config.input_dim)[0]
        sources = sources[order[:, : config.batch_size]]
    noise = torch.stack([_normals(seed, _VIEW + view, steps, *shape) for view in range(config.views)], 1)
    return (sources[:, None] + config.noise * noise) * config.eigenvalues.sqrt() @ directions


def _train(config: ToyConfig, loss: Loss) -> Iterator[ToyPoint]:
    directions = eigen_directions(config)
    encoder = _encoder(config)
    optimiser = OptimConfig(optimiser="adamw", lr=config.lr, weight_decay=0, schedule="constant").build(encoder)
    for first in range(1, config.steps + 1, _STEPS_DRAWN):
        steps = range(first, min(first + _STEPS_DRAWN, config.steps + 1))
        for step, views in zip(steps, draw_views(config, steps, directions)):
            value = loss(encoder(views))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            if step == config.steps or step in config.measure_at:
                yield _measure(step, value, encoder.weight, directions[: config.top])


def _objective(config: ToyConfig) -> Loss:
    if config.objective == "spectral":
        return lambda z: spectral_loss(z, None)
    if config.objective == "vicreg":
        both = 25.0 if config.weight is None else config.weight
        return lambda z: vicreg_loss(z, both, both, 1.0)
    weight = 0.1 if config.weight is None else config.weight
    return lambda z: barlow_twins_loss(z, weight)


def _encoder(config: ToyConfig) -> nn.Linear:
    """Weights uniform up to 1 / sqrt(k), as nn.Linear draws them."""
    encoder = nn.Linear(config.input_dim, config.dim, bias=False)
    words = _words(config.seed, _WEIGHT, range(1), encoder.weight.numel())[0]
    bound = config.input_dim**-0.5
    encoder.weight.data = ((2 * uniform(words) - 1) * bound).view_as(encoder.weight)
    return encoder


@contextmanager
def _one_thread() -> Iterator[None]:
    """More threads cost these small matrices time, and on a busy machine a lot of it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def _measure(step: int, loss: Tensor, weight: Tensor, directions: Tensor) -> ToyPoint:
    rank = effective_rank(torch.linalg.svdvals(weight).square())
    return ToyPoint(step, loss.item(), captured(weight, directions).item(), rank.item())


def _words(seed: int, purpose: int, steps: range, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four words (steps, count) each."""
    each_step = torch.tensor(steps)[:, None]
    return philox4x32((torch.arange(count), each_step, purpose, 0), (seed, _KEY))


def _normals(seed: int, purpose: int, steps: range, *shape: int) -> Float[Tensor, "n ..."]:
    count = math.prod(shape)
    first, second, third, fourth = _words(seed, purpose, steps, -(-count // 4))
    values = torch.cat((*normal_pair(first, second), *normal_pair(third, fourth)), 1)
    return values[:, :count].reshape(len(steps), *shape)
