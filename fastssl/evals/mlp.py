"""MLP probe: what a classifier with one hidden layer reads from frozen features, beyond what is linear in them.

Standardised features -> 256 hidden units, ReLU -> classes, by AdamW (Loshchilov, Hutter 2019) with a cosine schedule.
The candidates, learning rate times weight decay, train side by side in batched matrix products on the same batches;
the one most accurate on the held-out tenth of train (as ridge's) at the last step is trained anew on all of train.
Weights and batches are drawn by counter from the seed; the result is the same on every CPU run.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fastssl.evals.draws import ORDER, normals, random_order
from fastssl.evals.features import Features, standard_error
from fastssl.evals.ridge import Moments, held_out

HIDDEN = 256
BATCH = 512
EPOCHS = 15
MIN_STEPS = 300
"""Steps of the smallest sets, which else would hardly be trained."""
BETAS, EPS = (0.9, 0.999), 1e-8
"""AdamW's, as published."""
CANDIDATES = tuple(itertools.product((3e-4, 1e-3, 3e-3), (1e-2, 1e-1)))
"""Learning rate, decoupled weight decay per unit of learning rate."""
PROTOCOL = (
    f"MLP probe ({HIDDEN} hidden units) on frozen features, single undistorted view, "
    f"rate and decay chosen of {len(CANDIDATES)} on 10 % of train, trained anew on train, last step"
)


def mlp(features: Features, seed: int = 0) -> Iterator[tuple[str, float]]:
    """Yields `mlp` (test accuracy, 0-1), its `_se`, `_rate` and `_decay`."""
    x, y = features.train_x, features.train_y
    held, chosen = held_out(y), CANDIDATES[len(CANDIDATES) // 2]
    if held.any():
        network = train_mlp(x[~held], y[~held], features.num_classes, CANDIDATES, seed)
        right = (network.predict(x[held]) == y[held]).sum(1).tolist()
        chosen = max(zip(right, CANDIDATES))[1]
    network = train_mlp(x, y, features.num_classes, [chosen], seed)
    accuracy = float((network.predict(features.test_x)[0] == features.test_y).double().mean())
    yield "mlp", accuracy
    yield "mlp_se", standard_error(accuracy, len(features.test_y))
    yield "mlp_rate", chosen[0]
    yield "mlp_decay", chosen[1]


@dataclass(frozen=True, slots=True)
class Network:
    """Several classifiers of the same shape, on raw features."""

    mean: Float32[Tensor, "k"]
    scale: Float32[Tensor, "k"]
    weights: list[Tensor]
    """Of the hidden layer (g, k, h) and (g, 1, h), of the scores (g, h, c) and (g, 1, c)."""

    def scores(self, x: Float32[Tensor, "n k"]) -> Float32[Tensor, "g n c"]:
        w1, b1, w2, b2 = self.weights
        x = ((x - self.mean) * self.scale).expand(len(w1), *x.shape)
        return torch.baddbmm(b2, torch.baddbmm(b1, x, w1).relu(), w2)

    def predict(self, x: Float32[Tensor, "n k"]) -> Int64[Tensor, "g n"]:
        return torch.cat([self.scores(rows).argmax(2) for rows in x.split(4096)], 1)


def train_mlp(
    x: Float32[Tensor, "n k"],
    y: Int64[Tensor, "n"],
    num_classes: int,
    candidates: Sequence[tuple[float, float]],
    seed: int = 0,
) -> Network:
    """Trains one network per candidate, all from the same weights on the same batches."""
    moments = Moments.of(x, y, num_classes)
    sizes = ((x.shape[1], HIDDEN), (HIDDEN, num_classes))
    weights = []
    for number, (fan_in, fan_out) in enumerate(sizes):
        first = normals((1, fan_in, fan_out), seed, number) * math.sqrt(2 / fan_in)  # He et al. 2015
        weights += [first.repeat(len(candidates), 1, 1).to(x.device), x.new_zeros(len(candidates), 1, fan_out)]
    weights = [weight.requires_grad_() for weight in weights]
    network = Network(moments.mean.float(), moments.scale.float(), weights)
    rate, decay = x.new_tensor(candidates).T[:, :, None, None]
    kept = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in weights]
    batch = min(BATCH, len(x))
    order = torch.empty(0)
    num_steps = max(MIN_STEPS, EPOCHS * (len(x) // batch))
    for step in range(num_steps):
        epoch, position = divmod(step, len(x) // batch)
        if position == 0:
            order = random_order(len(x), seed, ORDER, epoch).to(x.device)
        rows = order[position * batch : (position + 1) * batch]
        scores = network.scores(x[rows])
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), y[rows].repeat(len(candidates)))
        gradients = torch.autograd.grad(loss * len(candidates), weights)
        now = rate * (1 + math.cos(math.pi * step / num_steps)) / 2
        with torch.no_grad():
            for weight, gradient, (mean, square) in zip(weights, gradients, kept):
                mean.lerp_(gradient, 1 - BETAS[0])
                square.lerp_(gradient.square(), 1 - BETAS[1])
                spread = (square / (1 - BETAS[1] ** (step + 1))).sqrt_() + EPS
                weight.mul_(1 - now * decay).sub_(now * mean / (1 - BETAS[0] ** (step + 1)) / spread)
    return Network(network.mean, network.scale, [weight.detach() for weight in weights])
