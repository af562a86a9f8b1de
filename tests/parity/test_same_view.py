"""End to end: one (seed, epoch, index, view) is one view, whatever loads it and in whatever company."""

import itertools

import pytest
import torch

from fastssl.augment import get_backend, make_views
from fastssl.data.open import open_loader
from fastssl.data.policy import OrderConfig
from fastssl.views import ViewSpec

NUM_IMAGES = 40
SPECS = (ViewSpec(blur_p=0.5), ViewSpec(size=17, solarize_p=0.2))


def views_by_key(path, *, kind="resident", seed=1, epoch=2, start_step=0, **options):
    """(index, view) -> pixels of the view, over one epoch."""
    loader = open_loader(kind, path, seed=seed, **{"batch_size": 8, "drop_last": False, "num_workers": 1, **options})
    specs = [ViewSpec(**{**vars_of(spec), "mean": loader.info.mean, "std": loader.info.std}) for spec in SPECS]
    made = {}
    for batch in loader.epoch(epoch, start_step=start_step):
        views = make_views(batch, specs, get_backend("reference", "cpu"), seed=seed, epoch=epoch, dtype=torch.float32)
        for (number, view), (row, index) in itertools.product(enumerate(views), enumerate(batch.index.tolist())):
            made[index, number] = view[row].clone()
    loader.close()
    return made


def vars_of(spec):
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


@pytest.fixture(scope="module")
def path(tiny_beton):
    return tiny_beton(NUM_IMAGES, 31, 47)


@pytest.fixture(scope="module")
def expected(path):
    return views_by_key(path)


CHANGES = [
    {"kind": "ffcv"},
    {"kind": "ffcv", "num_workers": 2},
    {"kind": "folder"},
    {"kind": "folder", "num_workers": 2, "batch_size": 5},
    {"batch_size": 1},
    {"batch_size": 40},
    {"order": "sequential"},
    {"order": OrderConfig(order="quasi_random", block_bytes=9000, window_blocks=2)},
    {"start_step": 3},
    {"kind": "ffcv", "start_step": 2, "batch_size": 7},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_same_key_gives_the_same_view(path, expected, change):
    made = views_by_key(path, **change)
    skipped = change.get("start_step", 0) * change.get("batch_size", 8)
    assert len(made) == 2 * (NUM_IMAGES - skipped)
    for key, view in made.items():
        # Sums over a batch of another size may be ordered otherwise: float32 rounding, far below one level of 255.
        torch.testing.assert_close(view, expected[key], rtol=0, atol=1e-4)


def test_ranks_together_make_the_views_of_one_process(path, expected):
    made = [views_by_key(path, rank=rank, world_size=2, kind="ffcv") for rank in range(2)]
    assert not made[0].keys() & made[1].keys()
    together = made[0] | made[1]
    assert together.keys() == expected.keys()
    for key, view in together.items():
        torch.testing.assert_close(view, expected[key], rtol=0, atol=1e-4)


@pytest.mark.parametrize("change", [{"seed": 2}, {"epoch": 3}], ids=str)
def test_another_key_gives_another_view(path, expected, change):
    made = views_by_key(path, **change)
    assert made.keys() == expected.keys()
    assert all(not torch.allclose(made[key], expected[key], atol=1e-2) for key in made)
