"""Few labels: draws are balanced, nested and many; their interval covers; ridge's leave-one-out is exact."""

import pytest
import torch

from fastssl.errors import InputError
from fastssl.evals import few_labels, fewshot_protocol
from fastssl.evals.fewshot import draw_labels
from fastssl.evals.ridge import Moments, leave_one_out
from tests.evals.blobs import blobs


def test_leave_one_out_equals_leaving_one_out():
    f = blobs(num_train=40, num_classes=4, apart=0.5)
    x, y = f.train_x.double(), f.train_y
    whole = Moments.of(f.train_x, y, 4)
    mean_value = whole.spectrum()[2]
    z = (x - whole.mean) * whole.scale  # standardised by all: leaving one out keeps it
    targets = torch.nn.functional.one_hot(y, 4).double()
    for penalty, fast in zip((1e-3, 0.3, 10.0), leave_one_out(f.train_x, y, 4, (1e-3, 0.3, 10.0))):
        right = 0
        for i in range(len(y)):
            others = torch.arange(len(y)) != i
            mid, prior = z[others].mean(0), targets[others].mean(0)
            gram = (z[others] - mid).T @ (z[others] - mid) + penalty * mean_value * torch.eye(z.shape[1]).double()
            weight = torch.linalg.solve(gram, (z[others] - mid).T @ (targets[others] - prior))
            right += int(((z[i] - mid) @ weight + prior).argmax() == y[i])
        assert fast == pytest.approx(right / len(y))


def test_draws_are_balanced_nested_and_different():
    labels = torch.tensor([0, 1, 2, 2] * 50)
    few, many = (draw_labels(labels, torch.tensor(n), seed=1, number=0) for n in ([2, 2, 4], [5, 9, 30]))
    assert torch.bincount(labels[few]).tolist() == [2, 2, 4]
    assert torch.bincount(labels[many]).tolist() == [5, 9, 30]
    assert set(few.tolist()) < set(many.tolist())
    other = draw_labels(labels, torch.tensor([2, 2, 4]), seed=1, number=1)
    assert set(few.tolist()) != set(other.tolist())
    assert torch.equal(few, draw_labels(labels, torch.tensor([2, 2, 4]), seed=1, number=0))


def test_intervals_cover_the_mean_over_draws():
    """Student's t over five draws, 120 times: about 95 % of the intervals hold the mean of very many draws."""
    f = blobs(num_train=400, num_test=200, num_classes=2, dim=4, apart=0.6)
    found = [few_labels(f, [4], draws=5, seed=seed) for seed in range(120)]
    truth = sum(one["ridge_shots_4"] for one in found) / len(found)  # 600 draws: its own error is a tenth of theirs
    covered = sum(abs(one["ridge_shots_4"] - truth) <= one["ridge_shots_4_ci95"] for one in found) / len(found)
    assert 0.9 <= covered <= 0.995
    assert all(one["ridge_shots_4_se"] > 0 for one in found)


@pytest.mark.parametrize("classifier", ["ridge", "logistic"])
def test_more_labels_help(classifier):
    f = blobs(num_train=1000, apart=0.5)
    found = few_labels(f, [2, 0.02, 0.5], draws=3, classifier=classifier)
    assert found[f"{classifier}_shots_2"] < found[f"{classifier}_labels_0.02"] < found[f"{classifier}_labels_0.5"]
    assert f"{classifier}_shots_2_ci95" in found
    assert "2 labels per class, 2 % of labels" in fewshot_protocol([2, 0.02], 3, classifier)


def test_one_label_per_class_works():
    assert few_labels(blobs(), [1], draws=2, classifier="logistic")["logistic_shots_1"] > 0.2


@pytest.mark.parametrize(
    ("amounts", "draws", "needle"),
    [([301], 5, "give 1 to 300"), ([0], 5, "shots=0"), ([1.5], 5, "give a number in"), ([1e-5], 5, "without a label"),
     ([2], 1, "draws=1")],
)  # fmt: skip
def test_impossible_amounts_are_refused(amounts, draws, needle):
    with pytest.raises(InputError, match=needle):
        few_labels(blobs(), amounts, draws=draws)
