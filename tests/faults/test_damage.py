"""Damaged samples: every loader names them or leaves them out, and serves all others as if nothing were amiss."""

import numpy as np
import pytest

from fastssl.data.beton import BetonFile
from fastssl.data.order import epoch_order
from fastssl.data.paths import sidecar_path
from fastssl.errors import InputError
from tests.faults.betons import EVERY_DAMAGE, JPEG_DAMAGE, NUM_IMAGES, damage_as, open_kind, pixels_of, zero

SKIPPING = ("crops", "images", "resident", "ffcv")
KINDS = (*SKIPPING, "folder")
BATCH, HURT = 5, 7
CASES = pytest.mark.parametrize(("mode", "name"), EVERY_DAMAGE, ids=lambda value: str(value).replace(" ", "-"))


def line_of(kind, path, **options) -> str:
    """The error of opening and reading, checked to be one line that names the file."""
    with pytest.raises(InputError) as caught:  # noqa: PT012 - some refuse when opened, some when read
        loader = open_kind(kind, path, **options)
        try:
            for _ in loader.epoch(0):
                pass
        finally:
            loader.close()
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@CASES
def test_damaged_sample_is_named_with_its_place(beton, kind, mode, name):
    path = beton(mode)
    damage_as(mode, name)(path, HURT)
    assert f"sample {HURT} at byte {BetonFile(path).offsets[HURT]} is damaged: " in line_of(kind, path)


def assert_serves_the_rest(kind, damaged, whole, hurt, **options):
    """Batches of the damaged file are those of the whole one without the hurt samples."""
    loaders = [open_kind(kind, path, on_error="skip", **options) for path in (damaged, whole)]
    skipped = 0
    for number in range(2):
        pairs = list(zip(*(loader.epoch(number) for loader in loaders), strict=True))
        for found, expected in pairs:
            kept = ~np.isin(expected.index.numpy(), hurt)
            assert found.index.tolist() == expected.index[kept].tolist()
            assert found.labels.tolist() == expected.labels[kept].tolist()
            assert found.skipped == (~kept).sum()
            assert expected.skipped == 0
            for pixels, whole_pixels in zip(pixels_of(found), pixels_of(expected), strict=True):
                assert np.array_equal(pixels, whole_pixels[kept])
            if found.draw is not None:
                assert np.array_equal(found.draw.tables, expected.draw.tables[:, kept])
        skipped += sum(found.skipped for found, _ in pairs)
    for loader in loaders:
        loader.close()
    assert skipped == 2 * len(hurt)


@pytest.mark.parametrize("kind", SKIPPING)
@CASES
def test_damaged_sample_is_left_out_and_counted(beton, tiny_beton, kind, mode, name):
    path = beton(mode)
    damage_as(mode, name)(path, HURT)
    assert_serves_the_rest(kind, path, tiny_beton(NUM_IMAGES, mode=mode), [HURT])


@pytest.mark.parametrize("kind", ["crops", "images"])
@CASES
def test_plain_decoder_finds_the_same_damage(beton, tiny_beton, monkeypatch, kind, mode, name):
    monkeypatch.setenv("FASTSSL_DECODER", "plain")
    path = beton(mode)
    damage_as(mode, name)(path, HURT)
    assert f"sample {HURT} at byte {BetonFile(path).offsets[HURT]} is damaged: " in line_of(kind, path)
    assert_serves_the_rest(kind, path, tiny_beton(NUM_IMAGES, mode=mode), [HURT])


@pytest.mark.parametrize("kind", SKIPPING)
@pytest.mark.parametrize("batch_size", [3, 8])
def test_every_damage_at_once_is_left_out_in_batches_of_any_size(beton, tiny_beton, kind, batch_size):
    """Also where the last, short batch has some of it."""
    path, hurt = beton("jpg"), list(range(1, 2 * len(JPEG_DAMAGE), 2))
    for sample, damage in zip(hurt, JPEG_DAMAGE.values(), strict=True):
        damage(path, sample)
    options = {"batch_size": batch_size, "drop_last": False, "num_workers": 2, "order": "sequential"}
    assert_serves_the_rest(kind, path, tiny_beton(NUM_IMAGES, mode="jpg"), hurt, **options)


@pytest.mark.parametrize("kind", SKIPPING)
def test_batch_without_a_whole_sample_is_an_error(beton, kind):
    path = beton("jpg")
    order = epoch_order(0, 0, NUM_IMAGES)
    for sample in order[BATCH : 2 * BATCH].tolist():
        zero(0.0, 0.1)(path, sample)
    loader = open_kind(kind, path, on_error="skip")
    batches = loader.epoch(0)
    assert len(next(batches).index) == BATCH
    with pytest.raises(InputError, match=f"all {BATCH} samples of a batch are damaged") as caught:
        list(batches)
    loader.close()
    assert path.name in str(caught.value)
    assert f"sample {order[BATCH]} at byte {BetonFile(path).offsets[order[BATCH]]}" in str(caught.value)


def test_folder_says_that_it_cannot_skip(beton):
    with pytest.raises(InputError, match=r"^on_error=skip has no effect with loader=folder.*; give loader=crops$"):
        open_kind("folder", beton("jpg"), on_error="skip")


def test_unknown_policy_is_named(beton):
    with pytest.raises(InputError, match=r"^on_error='ignore' is unknown; give one of raise, skip$"):
        open_kind("crops", beton("jpg"), on_error="ignore")


@pytest.mark.parametrize("kind", ["crops", "images", "ffcv"])
def test_steps_that_are_skipped_are_not_decoded(beton, kind):
    path = beton("jpg")
    zero(0.0, 0.1)(path, int(epoch_order(0, 0, NUM_IMAGES)[0]))
    loader = open_kind(kind, path)
    assert len(list(loader.epoch(0, start_step=1))) == 3
    with pytest.raises(InputError, match="sample"):
        next(loader.epoch(0))
    loader.close()


@pytest.mark.parametrize("kind", SKIPPING)
def test_a_file_without_sidecar_is_measured_by_what_is_whole(beton, kind):
    path = beton("jpg")
    zero(0.0, 0.1)(path, HURT)
    sidecar_path(path).unlink()
    assert f"sample {HURT} at byte" in line_of(kind, path)
    loader = open_kind(kind, path, on_error="skip")
    assert sum(batch.skipped for batch in loader.epoch(0)) == 1
    beton_file = BetonFile(path)
    pixels = np.stack([beton_file.decode(i) for i in range(NUM_IMAGES) if i != HURT]) / 255
    assert loader.info.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    loader.close()
