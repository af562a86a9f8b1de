"""The ridge probe against scikit-learn, and the ways a probe can quietly cheat."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from fastssl.errors import InputError
from fastssl.evals.features import Features
from fastssl.evals.ridge import PENALTIES, Moments, choose_penalty, held_out, ridge


def make_features(separation: float, num_train: int = 600, num_test: int = 400, num_classes: int = 4) -> Features:
    """Gaussian classes whose means lie `separation` standard deviations apart, on columns of unequal scale."""
    generator = torch.Generator().manual_seed(7)
    means = torch.randn(num_classes, 12, generator=generator) * separation
    scale = torch.logspace(-2, 2, 12)
    y = torch.arange(num_train + num_test) % num_classes
    x = (means[y] + torch.randn(len(y), 12, generator=generator)) * scale + 3
    return Features(x[:num_train], y[:num_train], x[num_train:], y[num_train:], num_classes)


@pytest.mark.parametrize("penalty", [1e-6, 1e-2, 1.0, 100.0])
def test_ridge_predicts_what_sklearn_predicts(penalty):
    f = make_features(0.6)
    x = f.train_x.double()
    mean, std = x.mean(0), x.std(0, correction=0)
    # trace(X'X) / K of standardised features is the number of rows
    model = RidgeClassifier(alpha=penalty * len(x)).fit(((x - mean) / std).numpy(), f.train_y.numpy())
    expected = model.predict(((f.test_x - mean) / std).numpy())
    ours = Moments.of(f.train_x, f.train_y, f.num_classes).fit([penalty])[0].predict(f.test_x)
    assert np.array_equal(ours.numpy(), expected)


def test_ridge_of_separable_classes_is_perfect():
    assert dict(ridge(make_features(20.0)))["ridge"] == 1.0


def test_ridge_of_unrelated_features_is_chance():
    f = make_features(0.0, num_train=2000, num_test=2000)
    values = dict(ridge(f))
    assert abs(values["ridge"] - 0.25) < 4 * values["ridge_se"]
    assert values["ridge_se"] == pytest.approx(np.sqrt(0.25 * 0.75 / 2000), rel=0.1)


def test_ridge_ignores_the_order_of_test_rows_and_of_columns():
    f = make_features(0.6)
    rows, columns = torch.randperm(len(f.test_y)), torch.randperm(12)
    shuffled = Features(f.train_x[:, columns], f.train_y, f.test_x[rows][:, columns], f.test_y[rows], f.num_classes)
    assert dict(ridge(shuffled)) == pytest.approx(dict(ridge(f)))


def test_ridge_ignores_the_scale_and_offset_of_features():
    f = make_features(0.6)
    moved = dataclasses.replace(f, train_x=f.train_x * 64 + 16, test_x=f.test_x * 64 + 16)
    assert dict(ridge(moved)) == pytest.approx(dict(ridge(f)))


def test_penalty_never_sees_the_test_split():
    f = make_features(0.3)
    spoiled = dataclasses.replace(f, test_x=torch.randn_like(f.test_x), test_y=f.test_y.flip(0))
    assert choose_penalty(spoiled) == choose_penalty(f)
    assert choose_penalty(f) in PENALTIES


def test_penalty_is_strong_for_many_noisy_features():
    """Sixty rows, two hundred columns of noise beside one of signal: without a penalty the noise wins."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(560) % 2
    x = torch.randn(560, 200, generator=generator)
    x[:, 0] += 3 * y
    f = Features(x[:60], y[:60], x[60:], y[60:], 2)
    chosen = choose_penalty(f)
    fits = Moments.of(f.train_x, f.train_y, 2).fit([chosen, 1e-6])
    assert chosen > 1e-4
    assert fits[0].accuracy(f.test_x, f.test_y) >= fits[1].accuracy(f.test_x, f.test_y)


def test_held_out_is_a_tenth_of_each_class():
    labels = torch.cat([torch.zeros(200), torch.ones(50), torch.full((5,), 2), torch.full((1,), 3)]).long()
    counts = torch.bincount(labels[held_out(labels)], minlength=4)
    assert counts.tolist() == [20, 5, 1, 0]


def test_one_sample_per_class_still_gives_a_probe():
    f = make_features(20.0, num_train=4)
    assert dict(ridge(f)) | {"ridge_se": 0.0} == {"ridge": 1.0, "ridge_se": 0.0, "ridge_penalty": 1.0}


def test_constant_features_change_nothing_and_a_collapsed_encoder_scores_chance():
    f = make_features(0.6)
    constant = torch.full((600, 3), 0.1), torch.full((400, 3), 0.1)
    padded = dataclasses.replace(
        f, train_x=torch.cat([f.train_x, constant[0]], 1), test_x=torch.cat([f.test_x, constant[1]], 1)
    )
    # the mean eigenvalue counts all columns, so the same relative penalty is a little weaker: compare accuracies
    assert dict(ridge(padded))["ridge"] == pytest.approx(dict(ridge(f))["ridge"], abs=0.01)
    collapsed = dataclasses.replace(f, train_x=constant[0], test_x=constant[1])
    assert dict(ridge(collapsed))["ridge"] == pytest.approx(0.25, abs=0.01)


def test_features_refuse_nan_and_mismatched_shapes_in_one_line():
    f = make_features(0.6)
    spoiled = f.train_x.clone()
    spoiled[3, 2] = float("nan")
    with pytest.raises(InputError, match="train_x holds NaN"):
        dataclasses.replace(f, train_x=spoiled)
    with pytest.raises(InputError, match="one row per label"):
        dataclasses.replace(f, test_y=f.test_y[:-1])
    with pytest.raises(InputError, match="labels from 0 to 1"):
        dataclasses.replace(f, num_classes=2)
    with pytest.raises(InputError, match="as in train_x"):
        dataclasses.replace(f, test_x=f.test_x[:, :4])
