"""The same (seed, epoch, index, view) is the same picture, whatever the threads, batches, ranks, order and restarts."""

import itertools

import numpy as np
import pytest

from fastssl import native
from fastssl.augment import Drawer
from fastssl.data.beton import BetonFile
from fastssl.data.open import open_loader
from fastssl.data.order import epoch_order
from fastssl.data.policy import OrderConfig
from fastssl.native.plain import PlainPool
from fastssl.views import ViewSpec

NUM_IMAGES, SEED, EPOCH = 50, 3, 2
SPECS = (ViewSpec(size=16), ViewSpec(size=12, interpolation="bicubic", crop_scale=(0.05, 0.3)))
QUASI = OrderConfig(order="quasi_random", block_bytes=4096, window_blocks=3)
SLIDING = OrderConfig(order="sliding", window_images=40, stride_images=15)


@pytest.fixture(params=["crops", "images"])
def kind(request):
    return request.param


@pytest.fixture
def read(tiny_beton, kind):
    """`read(**options)`: index -> pixels of every view (of `images`, where the crops lie), and the batches' sizes."""

    def read_one(num_views=2, start_step=0, batches_ahead=3, epoch=EPOCH, **options):
        path = tiny_beton(NUM_IMAGES, 31, 47, "jpg")
        views = Drawer(SPECS[:num_views], SEED)
        options = {"batch_size": 8, "num_workers": 2, "drop_last": False, "seed": SEED, **options}
        loader = open_loader(kind, path, views=views, **options)
        loader._batches_ahead = batches_ahead
        found, sizes = {}, []
        for batch in loader.epoch(epoch, start_step):
            sizes.append(len(batch.index))
            for row, index in enumerate(batch.index.tolist()):
                assert index not in found
                found[index] = (int(loader.source[index]), int(batch.labels[row]), *_views_of(batch, row))
        loader.close()
        return found, sizes

    return read_one


def _views_of(batch, row):
    """Each view's crop, cut by `crops` or lying in the image; and what was drawn for it."""
    for view, table in enumerate(batch.draw.tables[:, row].numpy()):
        top, left, height, width = table[:4]
        pixels = (
            batch.crops[view][row] if batch.crops else batch.images[row, :, top : top + height, left : left + width]
        )
        yield pixels.numpy().copy()
        yield table


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for index, values in found.items():
        for value, wanted in zip(values, expected[index], strict=True):
            assert np.array_equal(value, wanted)


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 1},
        {"num_workers": 5},
        {"batches_ahead": 1},
        {"batches_ahead": 7},
        {"batch_size": 1},
        {"batch_size": 50},
        {"order": "sequential"},
        {"order": QUASI},
    ],
    ids=str,
)
def test_pixels_do_not_depend_on_how_they_are_served(read, options):
    assert_same(read(**options)[0], read()[0])


def test_window_of_a_sliding_order_holds_the_pictures_of_the_whole(read):
    found, whole = read(order=SLIDING)[0], read()[0]
    assert len(found) == 40
    assert_same(found, {index: whole[index] for index in found})


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_serve_what_one_process_does(read, world_size):
    shares = [read(batch_size=18, rank=rank, world_size=world_size)[0] for rank in range(world_size)]
    assert sum(map(len, shares)) == NUM_IMAGES
    assert_same(dict(itertools.chain.from_iterable(share.items() for share in shares)), read(batch_size=18)[0])


@pytest.mark.parametrize("start_step", [1, 4, 7])
def test_an_epoch_entered_late_is_the_rest_of_it(read, start_step):
    found, sizes = read(start_step=start_step)
    whole, whole_sizes = read()
    assert list(found) == list(whole)[8 * start_step :]
    assert sizes == whole_sizes[start_step:]
    assert_same(found, {index: whole[index] for index in found})


def test_an_epoch_entered_at_its_end_is_empty(read):
    assert read(start_step=6)[1] == [2]
    assert read(start_step=7)[1] == []
    assert read(start_step=6, drop_last=True)[1] == []


def test_a_view_does_not_depend_on_how_many_others_there_are(read):
    one, two = read(num_views=1)[0], read()[0]
    assert_same(one, {index: values[:4] for index, values in two.items()})  # source, label, crop and draw of view 0


def test_another_seed_epoch_or_index_is_another_picture(read):
    first, later, other = read()[0], read(epoch=EPOCH + 1)[0], read(epoch=EPOCH)[0]
    assert_same(first, other)
    tables = [first[index][3] for index in range(NUM_IMAGES)] + [later[index][3] for index in range(NUM_IMAGES)]
    assert len({table.tobytes() for table in tables}) == 2 * NUM_IMAGES


@pytest.mark.parametrize(
    "choice", [{"fraction": 0.5}, {"holdout": 0.2}, {"indices": True}, {"holdout": 0.2, "fraction": 0.4}]
)
def test_subset_counts_from_zero_and_draws_by_that_index(read, tiny_beton, tmp_path, choice):
    """What is drawn goes by the position served, pixels and labels by the one in the file."""
    if "indices" in choice:
        listed = [i for i in range(NUM_IMAGES) if i % 3]
        (tmp_path / "some.txt").write_text("\n".join(map(str, listed)))
        choice = {"indices": str(tmp_path / "some.txt")}
    beton, (found, _) = BetonFile(tiny_beton(NUM_IMAGES, 31, 47, "jpg")), read(**choice)
    assert sorted(found) == list(range(len(found)))
    sources = [found[index][0] for index in range(len(found))]
    assert sources == sorted(set(sources))
    assert len(sources) < NUM_IMAGES
    assert all(found[index][1] == beton.labels[source] for index, source in enumerate(sources))
    drawn = Drawer(SPECS, SEED)(EPOCH, np.arange(len(sources)), beton.sizes[sources])
    assert all(np.array_equal(found[index][3], drawn.tables[0, index]) for index in found)
    assert_same(read(**choice, batch_size=5, order="sequential", num_workers=1)[0], found)


@pytest.fixture
def decoded(monkeypatch):
    """Counts the samples that go into a pool, by the place of their payload."""
    counts: list[int] = []
    for pool, name in itertools.product((native.Pool, PlainPool), ("make_crops", "read_images")):
        original = getattr(pool, name)

        def counted(self, source, samples, *rest, original=original, **options):
            counts.extend(samples["offset"].tolist())
            return original(self, source, samples, *rest, **options)

        monkeypatch.setattr(pool, name, counted)
    return counts


@pytest.mark.parametrize("num_views", [1, 2])
@pytest.mark.parametrize("repeats", [1, 4])
def test_each_image_is_decoded_once_for_all_its_views(read, decoded, kind, tiny_beton, num_views, repeats):
    path = tiny_beton(NUM_IMAGES, 31, 47, "jpg")
    views = Drawer(SPECS[:num_views] * repeats, SEED)
    loader = open_loader(kind, path, batch_size=8, num_workers=2, drop_last=False, views=views)
    for _ in loader.epoch(0):
        pass
    assert sorted(decoded) == sorted(BetonFile(path).offsets.tolist())
    loader.close()


def test_steps_that_are_passed_over_are_not_decoded(decoded, kind, tiny_beton):
    path = tiny_beton(NUM_IMAGES, 31, 47, "jpg")
    loader = open_loader(kind, path, batch_size=8, views=Drawer(SPECS, SEED), seed=SEED)
    for _ in loader.epoch(EPOCH, start_step=4):
        pass
    order = epoch_order(SEED, EPOCH, NUM_IMAGES)[4 * 8 : 6 * 8]
    assert sorted(decoded) == sorted(BetonFile(path).offsets[order].tolist())
    loader.close()


def test_an_epoch_that_is_left_decodes_no_more_than_was_begun(decoded, kind, tiny_beton):
    loader = open_loader(kind, tiny_beton(NUM_IMAGES, 31, 47, "jpg"), batch_size=4, views=Drawer(SPECS, SEED))
    batches = loader.epoch(0)
    next(batches)
    batches.close()
    assert len(decoded) <= 4 * 3
    loader.close()
