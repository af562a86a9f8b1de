"""Choosing samples and labels by position, the file left as it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastssl.data.options import WriteOptions
from fastssl.data.served import serve
from fastssl.data.subset import Subset, choose_jpg, held_out_indices, load_indices, noisy_indices, subset_indices
from fastssl.errors import InputError

LABELS = np.arange(400) % 5


def test_subset_is_pinned():
    """A change here changes the data of every run ever made on a fraction: it needs a decision."""
    assert subset_indices(np.arange(12) % 3, 0.5, 3).tolist() == [2, 3, 4, 6, 8, 10]


def test_held_out_samples_and_jpegs_are_pinned():
    """A change here changes the betons that users have written and published results on."""
    assert held_out_indices(np.arange(12) % 3, 0.4, 3).tolist() == [0, 1, 6, 8, 10]
    assert held_out_indices(np.arange(12) % 3, 5, 2**63 + 1).tolist() == [1, 6, 9, 10, 11]
    as_jpg = choose_jpg(20, WriteOptions(mode="proportion", jpg_proportion=0.4, subset_seed=3))
    assert np.flatnonzero(as_jpg).tolist() == [1, 2, 4, 5, 7, 11, 12, 16, 17, 19]


@given(
    fractions=st.tuples(st.floats(0.05, 1.0), st.floats(0.05, 1.0)),
    counts=st.lists(st.integers(20, 60), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_subsets_are_balanced_sorted_and_nested(fractions, counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = labels[np.random.default_rng(seed).permutation(len(labels))]
    small, large = (subset_indices(labels, fraction, seed) for fraction in sorted(fractions))
    assert set(small) <= set(large)
    assert np.all(np.diff(large) > 0)
    for label, count in enumerate(counts):
        assert abs(np.sum(labels[large] == label) - max(fractions) * count) <= 0.5


def test_subsets_of_different_seeds_differ():
    labels = np.zeros(100, dtype=np.int64)
    assert set(subset_indices(labels, 0.5, 0)) != set(subset_indices(labels, 0.5, 1))
    assert np.array_equal(subset_indices(labels, 1.0, 0), np.arange(100))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan"), 0.004])
def test_subset_names_the_bad_fraction(fraction):
    with pytest.raises(InputError, match=r"^fraction="):
        subset_indices(np.zeros(100, dtype=np.int64), fraction)


@pytest.mark.parametrize("holdout", [0.01, 0.1, 0.5])
def test_held_out_part_and_the_rest_are_disjoint_and_whole(holdout):
    kept, held_out = (Subset(holdout=holdout, held_out=part, seed=3).positions(LABELS) for part in (False, True))
    assert np.array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(400))
    assert len(held_out) == holdout * 400
    assert np.ptp(np.bincount(LABELS[held_out], minlength=5)) <= 1
    assert np.array_equal(held_out, held_out_indices(LABELS, holdout, 3))
    assert set(held_out) != set(held_out_indices(LABELS, holdout, 4))


def test_neither_fraction_nor_list_reaches_into_the_held_out_part(tmp_path):
    np.save(tmp_path / "even.npy", np.arange(0, 400, 2))
    held_out = Subset(holdout=0.25, held_out=True).positions(LABELS)
    served = Subset(holdout=0.25, fraction=0.5, indices=str(tmp_path / "even.npy")).positions(LABELS)
    assert not set(served) & set(held_out)
    assert set(served) <= set(range(0, 400, 2))
    left = np.setdiff1d(np.arange(0, 400, 2), held_out)
    assert np.array_equal(served, left[subset_indices(LABELS[left], 0.5)])


def test_list_of_positions_is_read_from_either_kind_of_file(tmp_path):
    np.save(tmp_path / "a.npy", np.array([7, 3, 399], dtype=np.uint16))
    (tmp_path / "a.txt").write_text("# mine\n7\n\n3  # three\n399\n")
    for name in ("a.npy", "a.txt"):
        assert Subset(indices=str(tmp_path / name)).positions(LABELS).tolist() == [3, 7, 399]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n400\n", "lists 400; the file's samples are 0 to 399"),
        ("-1\n", "lists -1"),
        ("4\n4\n", "lists 4 twice"),
        ("1.5\n", "cannot be read"),
        ("", "one row of integers"),
    ],
)
def test_bad_list_of_positions_is_refused(tmp_path, content, message):
    (tmp_path / "list.txt").write_text(content)
    with pytest.raises(InputError, match=f"^indices=.*{message}"):
        load_indices(tmp_path / "list.txt", 400)


@pytest.mark.parametrize("array", [np.ones(400, dtype=bool), np.zeros((2, 2), dtype=int), np.array([{}])], ids=str)
def test_array_that_is_no_row_of_integers_is_refused(tmp_path, array):
    np.save(tmp_path / "list.npy", array)
    with pytest.raises(InputError, match=r"^indices="):
        load_indices(tmp_path / "list.npy", 400)


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere.npy", "list.csv"])
def test_missing_or_foreign_list_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"^indices="):
        load_indices(tmp_path / name, 400)


def test_list_that_is_all_held_out_is_refused(tmp_path):
    np.save(tmp_path / "list.npy", held_out_indices(LABELS, 0.1, 0))
    with pytest.raises(InputError, match="lists no sample of the part"):
        Subset(holdout=0.1, indices=str(tmp_path / "list.npy")).positions(LABELS)


@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
def test_label_noise_replaces_its_share_by_another_class(share):
    noisy = Subset(label_noise=share, seed=7).served_labels(LABELS, 5)
    changed = np.flatnonzero(noisy != LABELS)
    assert np.array_equal(changed, noisy_indices(400, share, 7))
    assert len(changed) == share * 400
    assert noisy.min() >= 0
    assert noisy.max() <= 4
    assert np.array_equal(LABELS, np.arange(400) % 5), "the true labels are kept"


def test_label_noise_takes_the_other_classes_alike():
    labels = np.full(40_000, 2)
    noisy = Subset(label_noise=0.5).served_labels(labels, 5)
    counts = np.bincount(noisy[noisy != 2], minlength=5)[[0, 1, 3, 4]]
    assert counts.sum() == 20_000
    assert np.all(np.abs(counts - 5000) < 5 * np.sqrt(20_000 / 4 * 3 / 4))


def test_label_noise_grows_with_its_share_and_keeps_what_it_had():
    few, many = (Subset(label_noise=share, seed=1).served_labels(LABELS, 5) for share in (0.2, 0.6))
    changed = few != LABELS
    assert np.array_equal(few[changed], many[changed])


def test_label_noise_is_pinned():
    noisy = Subset(label_noise=0.5, seed=3).served_labels(np.arange(12) % 3, 3)
    assert noisy.tolist() == [1, 1, 0, 2, 0, 2, 0, 1, 2, 0, 0, 1]


@pytest.mark.parametrize(("labels", "num_classes"), [([0, 0], 1), ([-1, -1], 3), ([0, -1], 2)])
def test_label_noise_without_another_class_is_refused(labels, num_classes):
    with pytest.raises(InputError, match=r"^label_noise="):
        Subset(label_noise=0.5).served_labels(np.array(labels), num_classes)


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"fraction": 0.0}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"holdout": 1.0}, "holdout"),
        ({"holdout": -0.1}, "holdout"),
        ({"held_out": True}, "holdout"),
        ({"label_noise": 1.1}, "label_noise"),
        ({"label_noise": float("nan")}, "label_noise"),
    ],
)
def test_impossible_subset_names_the_field(kwargs, field):
    with pytest.raises(InputError, match=f"^{field}="):
        Subset(**kwargs)


def test_holdout_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"^holdout=0.001 holds out 0 of 400"):
        Subset(holdout=0.001).positions(LABELS)


def test_every_choice_has_its_own_fingerprint(tiny_beton, tmp_path):
    np.save(tmp_path / "list.npy", np.arange(9))
    path, choices = tiny_beton(50), [
        Subset(),
        Subset(fraction=0.5),
        Subset(holdout=0.2),
        Subset(holdout=0.2, held_out=True),
        Subset(indices=str(tmp_path / "list.npy")),
        Subset(label_noise=0.2),
        Subset(label_noise=0.4),
        Subset(label_noise=0.2, seed=1),
    ]  # fmt: skip
    assert len({serve(path, choice).info.fingerprint for choice in choices}) == len(choices)
    assert serve(path, Subset()).info.fingerprint == serve(path).beton.fingerprint()
    assert serve(path, Subset(holdout=0.2, held_out=True)).info.split == "val"


def test_true_labels_stay_beside_the_noisy_ones(tiny_beton):
    served = serve(tiny_beton(50), Subset(label_noise=0.4, fraction=0.5))
    assert np.array_equal(served.true_labels, np.asarray(served.beton.labels)[served.source])
    assert 0 < np.sum(served.labels != served.true_labels) < len(served.labels)
    whole = serve(tiny_beton(50), Subset(label_noise=0.4))
    assert np.array_equal(served.labels, whole.labels[served.source]), "the same noise in every subset"
