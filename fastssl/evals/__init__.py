"""What came out of training: probes of frozen features. An evaluator yields (name, value) pairs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastssl.evals.features import Features, extract
from fastssl.evals.fewshot import few_labels, fewshot_protocol
from fastssl.evals.knn import KS, knn, knn_sweep
from fastssl.evals.logistic import PROTOCOL as LOGISTIC_PROTOCOL
from fastssl.evals.logistic import logistic
from fastssl.evals.mlp import PROTOCOL as MLP_PROTOCOL
from fastssl.evals.mlp import mlp
from fastssl.evals.ridge import PROTOCOL as RIDGE_PROTOCOL
from fastssl.evals.ridge import ridge

__all__ = ["PROBES", "Features", "evaluate", "extract", "few_labels", "fewshot_protocol", "protocol"]


@dataclass(frozen=True)
class Probe:
    """A classifier of frozen features."""

    run: Callable[[Features], Iterator[tuple[str, float]]]
    """Features -> (name, value); the accuracy goes by the probe's own name, its standard error by NAME_se."""
    protocol: str
    """In words, how the accuracy was measured: for the record that carries it."""


def _knn(features: Features) -> Iterator[tuple[str, float]]:
    yield from knn(features)
    yield from knn_sweep(features)


PROBES: dict[str, Probe] = {
    "ridge": Probe(ridge, RIDGE_PROTOCOL),
    "knn": Probe(
        _knn,
        "cosine kNN on frozen features, single undistorted view, k 20 and a sweep of "
        f"{', '.join(map(str, KS))}, votes exp(cosine / 0.07)",
    ),
    "logistic": Probe(logistic, LOGISTIC_PROTOCOL),
    "mlp": Probe(mlp, MLP_PROTOCOL),
}
"""Every probe by name, cheapest first. A new one is a file and a line here."""


def evaluate(features: Features, knn_k: int = 20, knn_temperature: float = 0.07) -> dict[str, float]:
    """What every run is probed by as it trains: `ridge`, `ridge_se`, `ridge_penalty`, `knn`, `knn_se` (accuracies and
    errors 0-1)."""
    return {**dict(ridge(features)), **dict(knn(features, knn_k, knn_temperature))}


def protocol(knn_k: int = 20, knn_temperature: float = 0.07) -> str:
    """In words, how the accuracies of `evaluate` were measured: for the record that carries the numbers."""
    return f"{RIDGE_PROTOCOL}; cosine kNN on the same features, k {knn_k}, votes exp(cosine / {knn_temperature})"
