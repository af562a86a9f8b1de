"""Weighted k-nearest-neighbour classification of frozen features (Wu, Xiong, Yu, Lin 2018, section 3.4).

Each test sample takes its k most similar training samples by cosine; neighbour i votes for its class with weight
exp(cosine_i / temperature). Defaults: the paper's temperature .07; k = 20 suits some thousand images per class, and
the paper's 200 suits ImageNet. A sweep takes the largest k once: the neighbours of a smaller one are its first.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from fastssl.errors import InputError
from fastssl.evals.features import Features, standard_error

KS = (1, 5, 10, 20, 50, 100, 200)
"""Numbers of neighbours of a sweep."""
CHUNK_SIMILARITIES = 1 << 25
"""Entries of the similarity matrix held at once: 128 MB in float32."""


def knn(features: Features, k: int = 20, temperature: float = 0.07) -> Iterator[tuple[str, float]]:
    """Yields `knn` (test accuracy, 0-1) and `knn_se` (its binomial standard error)."""
    accuracy = _accuracies(features, (k,), temperature)[0]
    yield "knn", accuracy
    yield "knn_se", standard_error(accuracy, len(features.test_y))


def knn_sweep(features: Features, ks: Sequence[int] = KS, temperature: float = 0.07) -> Iterator[tuple[str, float]]:
    """Yields `knn_k5`, `knn_k5_se` and so on for every k, in one pass over the similarities.

    All of them are on the test split: read the k that was named beforehand, or show the curve; the best one is chosen
    on what it is scored on.
    """
    for k, accuracy in zip(ks, _accuracies(features, ks, temperature)):
        yield f"knn_k{k}", accuracy
        yield f"knn_k{k}_se", standard_error(accuracy, len(features.test_y))


def knn_predict(
    train_x: Float32[Tensor, "n d"],
    train_y: Int64[Tensor, "n"],
    test_x: Float32[Tensor, "m d"],
    num_classes: int,
    *,
    ks: Sequence[int] = (20,),
    temperature: float = 0.07,
) -> Int64[Tensor, "ks m"]:
    """Class of each test row for every k, in bounded memory; with fewer than k training rows all of them vote.

    Errors: `InputError` for a k below 1 or a temperature that is not positive.
    """
    if not ks or min(ks) < 1:
        raise InputError(f"k={min(ks, default=0)} leaves no neighbour to vote; give 1 or more")
    if not temperature > 0:
        raise InputError(f"temperature={temperature} is not positive; give a number above 0, such as 0.07")
    bank = F.normalize(train_x, dim=1)
    rows = max(1, CHUNK_SIMILARITIES // len(bank))
    chunks = [_vote(F.normalize(c, dim=1) @ bank.T, train_y, num_classes, ks, temperature) for c in test_x.split(rows)]
    return torch.cat(chunks, dim=1)


def _accuracies(features: Features, ks: Sequence[int], temperature: float) -> list[float]:
    predicted = knn_predict(
        features.train_x, features.train_y, features.test_x, features.num_classes, ks=ks, temperature=temperature
    )
    return (predicted == features.test_y).double().mean(1).tolist()


def _vote(
    similarity: Tensor, train_y: Tensor, num_classes: int, ks: Sequence[int], temperature: float
) -> Int64[Tensor, "ks m"]:
    nearest, where = similarity.topk(min(max(ks), similarity.shape[1]), dim=1)
    # subtracting the best similarity scales all votes alike and keeps exp from overflowing at small temperatures
    weight = ((nearest - nearest[:, :1]) / temperature).exp()
    votes = weight.new_zeros(len(similarity), num_classes)
    labels, predicted, counted = train_y[where], {}, 0
    for k in sorted(set(ks)):
        votes.scatter_add_(1, labels[:, counted:k], weight[:, counted:k])
        predicted[k], counted = votes.argmax(dim=1), k
    return torch.stack([predicted[k] for k in ks])
