"""What came out of training: probes of frozen features. An evaluator yields (name, value) pairs."""

from fastssl.evals.features import Features, extract
from fastssl.evals.knn import knn
from fastssl.evals.ridge import PROTOCOL as RIDGE_PROTOCOL
from fastssl.evals.ridge import ridge

__all__ = ["Features", "evaluate", "extract", "protocol"]


def evaluate(features: Features, knn_k: int = 20, knn_temperature: float = 0.07) -> dict[str, float]:
    """Every probe's numbers: `ridge`, `ridge_se`, `ridge_penalty`, `knn`, `knn_se` (accuracies and errors 0-1)."""
    return {**dict(ridge(features)), **dict(knn(features, knn_k, knn_temperature))}


def protocol(knn_k: int = 20, knn_temperature: float = 0.07) -> str:
    """In words, how the accuracies of `evaluate` were measured: for the record that carries the numbers."""
    return f"{RIDGE_PROTOCOL}; cosine kNN on the same features, k {knn_k}, votes exp(cosine / {knn_temperature})"
