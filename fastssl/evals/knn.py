"""Weighted k-nearest-neighbour classification of frozen features (Wu, Xiong, Yu, Lin 2018, section 3.4).

Each test sample takes its k most similar training samples by cosine; neighbour i votes for its class with weight
exp(cosine_i / temperature). Defaults: the paper's temperature .07; k = 20 suits some thousand images per class, and
the paper's 200 suits ImageNet.
"""

from collections.abc import Iterator
from math import sqrt

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from fastssl.errors import InputError
from fastssl.evals.features import Features

CHUNK_SIMILARITIES = 1 << 25
"""Entries of the similarity matrix held at once: 128 MB in float32."""


def knn(features: Features, k: int = 20, temperature: float = 0.07) -> Iterator[tuple[str, float]]:
    """Yields `knn` (test accuracy, 0-1) and `knn_se` (its binomial standard error)."""
    predicted = knn_predict(
        features.train_x, features.train_y, features.test_x, features.num_classes, k=k, temperature=temperature
    )
    accuracy = float((predicted == features.test_y).double().mean())
    yield "knn", accuracy
    yield "knn_se", sqrt(accuracy * (1 - accuracy) / len(features.test_y))


def knn_predict(
    train_x: Float32[Tensor, "n d"],
    train_y: Int64[Tensor, "n"],
    test_x: Float32[Tensor, "m d"],
    num_classes: int,
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> Int64[Tensor, "m"]:
    """Class of each test row, in chunks of bounded memory; with fewer than k training rows, all of them vote.

    Errors: `InputError` for k below 1 or a temperature that is not positive.
    """
    if k < 1:
        raise InputError(f"k={k} leaves no neighbour to vote; give 1 or more")
    if not temperature > 0:
        raise InputError(f"temperature={temperature} is not positive; give a number above 0, such as 0.07")
    k = min(k, len(train_x))
    bank = F.normalize(train_x, dim=1)
    rows = max(1, CHUNK_SIMILARITIES // len(bank))
    chunks = [_vote(F.normalize(c, dim=1) @ bank.T, train_y, num_classes, k, temperature) for c in test_x.split(rows)]
    return torch.cat(chunks)


def _vote(similarity: Tensor, train_y: Tensor, num_classes: int, k: int, temperature: float) -> Int64[Tensor, "m"]:
    nearest, where = similarity.topk(k, dim=1)
    # subtracting the best similarity scales all votes alike and keeps exp from overflowing at small temperatures
    weight = ((nearest - nearest[:, :1]) / temperature).exp()
    votes = weight.new_zeros(len(similarity), num_classes)
    return votes.scatter_add_(1, train_y[where], weight).argmax(dim=1)
