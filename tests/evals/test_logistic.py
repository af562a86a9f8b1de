"""The logistic probe against scikit-learn's, and its edges."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fastssl.evals import Features
from fastssl.evals.logistic import PENALTIES, choose_penalty, fit_logistic, logistic
from fastssl.evals.ridge import held_out
from tests.evals.blobs import blobs


def standardised(f):
    mean, std = f.train_x.double().mean(0), f.train_x.double().std(0, correction=0)
    scale = torch.where(std > 1e-5, 1 / std, 0.0)
    return ((f.train_x - mean) * scale).numpy(), ((f.test_x - mean) * scale).numpy()


def loss_of(weight, bias, x, y, penalty):
    scores = torch.from_numpy(x) @ weight + bias
    return float(torch.nn.functional.cross_entropy(scores, y)) + penalty / 2 * float(weight.square().sum())


@pytest.mark.parametrize("apart", [0.3, 0.8])
def test_every_penalty_equals_sklearn(apart):
    f = blobs(apart=apart)
    train, test = standardised(f)
    fit = fit_logistic(f.train_x, f.train_y, f.num_classes, PENALTIES)
    assert all(fit.converged)
    for penalty, classifier, loss in list(zip(PENALTIES, fit.classifiers, fit.losses))[::3]:
        theirs = LogisticRegression(C=1 / (penalty * len(train)), tol=1e-8, max_iter=2000)
        theirs.fit(train, f.train_y.numpy())
        best = loss_of(torch.from_numpy(theirs.coef_.T), torch.from_numpy(theirs.intercept_), train, f.train_y, penalty)
        assert loss == pytest.approx(best, rel=1e-4)
        ours = classifier.accuracy(f.test_x, f.test_y)
        assert ours == pytest.approx(theirs.score(test, f.test_y.numpy()), abs=1e-3)


def test_probe_chooses_as_a_loop_over_sklearn_does():
    f = blobs(num_train=400, apart=0.5)
    train, test = standardised(f)
    held, y = held_out(f.train_y).numpy(), f.train_y.numpy()
    ours = dict(logistic(f))
    theirs = LogisticRegression(C=1 / (ours["logistic_penalty"] * len(train)), tol=1e-8, max_iter=2000).fit(train, y)
    assert ours["logistic"] == pytest.approx(theirs.score(test, f.test_y.numpy()), abs=1e-3)
    scores = []
    for penalty in PENALTIES:
        some = LogisticRegression(C=1 / (penalty * (~held).sum()), tol=1e-8, max_iter=2000).fit(train[~held], y[~held])
        scores.append(some.score(train[held], y[held]))
    at = PENALTIES.index(ours["logistic_penalty"])
    assert scores[at] >= max(scores) - 1 / held.sum() - 1e-9  # one held-out sample may fall to either side
    assert ours["logistic_converged"] == 1.0


def test_penalties_do_not_touch_one_another():
    f = blobs(apart=0.4)
    together = fit_logistic(f.train_x, f.train_y, f.num_classes, PENALTIES)
    for k in (0, 7):
        alone = fit_logistic(f.train_x, f.train_y, f.num_classes, PENALTIES[k : k + 1])
        assert alone.losses[0] == pytest.approx(together.losses[k], rel=1e-5)


def test_steps_that_run_out_are_reported(monkeypatch):
    f = blobs()
    monkeypatch.setitem(fit_logistic.__globals__, "MAX_STEPS", 2)
    assert dict(logistic(f))["logistic_converged"] == 0.0


@pytest.mark.parametrize("chunk", [7, 1000])
def test_chunks_change_nothing(monkeypatch, chunk):
    f = blobs(num_train=300)
    whole = fit_logistic(f.train_x, f.train_y, f.num_classes, [1e-2])
    monkeypatch.setitem(fit_logistic.__globals__, "CHUNK_ROWS", chunk)
    parts = fit_logistic(f.train_x, f.train_y, f.num_classes, [1e-2])
    assert parts.losses[0] == pytest.approx(whole.losses[0], rel=1e-6)


def test_constant_features_give_the_most_frequent_class():
    y = torch.tensor([0, 1, 1, 1, 2] * 8)
    f = Features(torch.ones(40, 3), y, torch.ones(40, 3), y, 3)
    assert dict(logistic(f))["logistic"] == pytest.approx(0.6)


def test_a_class_without_samples_is_never_predicted():
    f = blobs(num_classes=3)
    wider = Features(f.train_x, f.train_y, f.test_x, f.test_y, 4)
    fit = fit_logistic(wider.train_x, wider.train_y, 4, [choose_penalty(wider)])
    assert set(fit.classifiers[0].predict(wider.test_x).tolist()) <= {0, 1, 2}
    assert np.isfinite(fit.losses[0])
