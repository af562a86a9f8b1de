"""Weighted kNN against a version that loops, and its edges."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from fastssl.errors import InputError
from fastssl.evals import evaluate, protocol
from fastssl.evals.features import Features
from fastssl.evals.knn import knn, knn_predict, knn_sweep


def slow_knn(train_x, train_y, test_x, num_classes, k, temperature):
    predicted = []
    for row in test_x.double():
        scores = [0.0] * num_classes
        similar = []
        for other, label in zip(train_x.double(), train_y.tolist()):
            similar.append((float(row @ other / (row.norm() * other.norm())), label))
        for similarity, label in sorted(similar, reverse=True)[:k]:
            scores[label] += math.exp(similarity / temperature)
        predicted.append(scores.index(max(scores)))
    return predicted


def make(num_train=120, num_test=40, num_classes=5, dim=8, spread=1.0):
    generator = torch.Generator().manual_seed(3)
    means = torch.randn(num_classes, dim, generator=generator)
    y = torch.arange(num_train + num_test) % num_classes
    x = means[y] + spread * torch.randn(len(y), dim, generator=generator)
    return Features(x[:num_train], y[:num_train], x[num_train:], y[num_train:], num_classes)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.5), (500, 0.1)])
def test_knn_equals_the_loop(k, temperature):
    f = make()
    fast = knn_predict(f.train_x, f.train_y, f.test_x, 5, ks=(k,), temperature=temperature)[0]
    assert fast.tolist() == slow_knn(f.train_x, f.train_y, f.test_x, 5, k, temperature)


def test_knn_in_chunks_equals_knn_in_one_piece(monkeypatch):
    f = make()
    whole = knn_predict(f.train_x, f.train_y, f.test_x, 5, ks=(1, 7))
    monkeypatch.setitem(knn_predict.__globals__, "CHUNK_SIMILARITIES", 3 * len(f.train_x))
    assert torch.equal(knn_predict(f.train_x, f.train_y, f.test_x, 5, ks=(1, 7)), whole)


def test_knn_ignores_row_order_and_length_of_vectors():
    f = make()
    train, test = torch.randperm(120), torch.randperm(40)
    lengths = torch.rand(120, 1) + 0.5
    moved = Features((f.train_x * lengths)[train], f.train_y[train], 3 * f.test_x[test], f.test_y[test], 5)
    assert dict(knn(moved, k=7)) == pytest.approx(dict(knn(f, k=7)))


def test_knn_weighs_near_neighbours_more():
    """Two far neighbours outvote one near at a high temperature and not at a low one."""
    train_x = torch.tensor([[1.0, 0.02], [1.0, 0.8], [1.0, 0.8]])
    train_y = torch.tensor([0, 1, 1])
    query = torch.tensor([[1.0, 0.0]])
    assert knn_predict(train_x, train_y, query, 2, ks=(3,), temperature=0.07).tolist() == [[0]]
    assert knn_predict(train_x, train_y, query, 2, ks=(3,), temperature=10.0).tolist() == [[1]]


def test_knn_survives_a_tiny_temperature():
    f = make(spread=0.01)
    assert dict(knn(f, temperature=1e-4))["knn"] == 1.0


@pytest.mark.parametrize("options", [{"k": 0}, {"temperature": 0.0}, {"temperature": float("nan")}])
def test_knn_refuses_impossible_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        list(knn(make(), **options))


def test_evaluate_gives_every_probe_with_its_error_and_protocol():
    values = evaluate(make(spread=0.01), knn_k=5)
    assert set(values) == {"ridge", "ridge_se", "ridge_penalty", "knn", "knn_se"}
    assert values["ridge"] == values["knn"] == 1.0
    assert all(isinstance(v, float) for v in values.values())
    assert "k 5," in protocol(knn_k=5)
    assert protocol(knn_k=5) != protocol(knn_k=20)


def test_evaluate_of_pure_noise_is_chance():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(3000) % 10
    x = torch.randn(3000, 16, generator=generator)
    values = evaluate(Features(x[:2000], y[:2000], x[2000:], y[2000:], 10))
    for name in ("ridge", "knn"):
        assert abs(values[name] - 0.1) < 4 * values[f"{name}_se"]


def test_sweep_equals_one_k_at_a_time():
    f = make(spread=2.0)
    swept = dict(knn_sweep(f, (50, 1, 7), 0.2))
    for k in (1, 7, 50):
        alone = dict(knn(f, k, 0.2))
        assert (swept[f"knn_k{k}"], swept[f"knn_k{k}_se"]) == (alone["knn"], alone["knn_se"])
    assert len({swept[f"knn_k{k}"] for k in (1, 7, 50)}) > 1


def test_sweep_agrees_with_sklearn():
    f = make(num_train=1000, num_test=400, spread=3.0)
    bank = torch.nn.functional.normalize(f.train_x, dim=1).numpy()
    swept = dict(knn_sweep(f, (5, 20), 0.07))
    for k in (5, 20):
        theirs = KNeighborsClassifier(k, weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine", algorithm="brute")
        theirs.fit(bank, f.train_y.numpy())
        assert swept[f"knn_k{k}"] == pytest.approx(theirs.score(f.test_x.numpy(), f.test_y.numpy()), abs=1e-9)
