"""Labels are what happened to the pixels: read off the pixels, and learnt from them by a linear predictor."""

import pytest
import torch
from oracle import CPU_BACKENDS

from fastssl.augment import get_backend, make_views, sample_params
from fastssl.augment.labels import LABELS, view_labels
from fastssl.augment.sample import sample
from fastssl.types import Batch
from fastssl.views import ViewKey, ViewSpec

HEIGHT, WIDTH = 48, 64
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "jitter_p": 0.0, "gray_p": 0.0}
SPEC = ViewSpec(size=32, crop_scale=(0.3, 1.0), flip_p=0.5, vertical_flip_p=0.5, **PLAIN)


def coordinates(count):
    """Images whose red channel is x, green y (four levels a pixel), and blue the sum of their squares, so that the
    curvature of a view shows its extent whichever way it is flipped."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    blue = (((x / WIDTH) ** 2 + (y / HEIGHT) ** 2) / 2 * 255).round().long()
    return torch.stack((4 * x, 4 * y, blue)).to(torch.uint8).repeat(count, 1, 1, 1)


def batch_of(count):
    index = torch.arange(count)
    return Batch(images=coordinates(count), labels=index, index=index)


def column(labels, *names):
    return labels[:, [LABELS.index(name) for name in names]]


def along(profile):
    """Centre and signed extent, in source pixels, of views whose values along one axis are these (b, size)."""
    size = profile.shape[1]
    inner = slice(size // 4, size - size // 4)  # away from the edges, where a filter has less to see
    at = torch.arange(size).float()[inner] - (size - 1) / 2
    values = profile[:, inner] * 255 / 4
    return values.mean(1) + 0.5, (values * at).sum(1) / (at * at).sum() * size


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_crop_and_flips_read_off_the_pixels_equal_the_labels(name):
    batch = batch_of(24)
    params = sample_params(batch, [SPEC, SPEC], seed=3, epoch=1)
    views = get_backend(name).apply_views(batch.images, params, [SPEC, SPEC], torch.float32)
    for view, drawn in zip(views, params):
        labels = view_labels(drawn, SPEC, HEIGHT, WIDTH)
        x, across = along(view[:, 0].mean(1))
        y, down = along(view[:, 1].mean(2))
        read = torch.stack((y / HEIGHT, x / WIDTH, down.abs() / HEIGHT, across.abs() / WIDTH), dim=1)
        truth = column(labels, "crop_y", "crop_x", "crop_height", "crop_width")
        torch.testing.assert_close(read, truth, atol=0.006, rtol=0)  # a third of a pixel
        flips = torch.stack((across < 0, down < 0), dim=1).float()
        assert torch.equal(flips, column(labels, "flip", "vertical_flip"))
        assert 0 < flips.mean() < 1


def test_drawn_parameters_and_a_backend_are_make_views():
    batch, backend = batch_of(6), get_backend("cpu")
    specs = [SPEC, ViewSpec(size=16, noise_p=1.0, erase_p=1.0, mean=SPEC.mean, std=SPEC.std)]
    params = sample_params(batch, specs, seed=1, epoch=2)
    made = make_views(batch, specs, backend, seed=1, epoch=2)
    for view, again in zip(made, backend.apply_views(batch.images, params, specs, torch.float32)):
        assert torch.equal(view, again)


def linear(features, targets, train):
    """Least squares with a bias on the first `train` samples; predictions for the rest."""
    features = torch.cat((features, torch.ones(len(features), 1)), dim=1).double()
    weights = torch.linalg.lstsq(features[:train], targets[:train].double(), driver="gelsd").solution
    return features[train:] @ weights


def r2(truth, predicted):
    return float((1 - (truth - predicted).square().sum(0) / (truth - truth.mean(0)).square().sum(0)).min())


def test_labels_are_learnt_from_the_pixels_of_their_own_view_alone():
    count, train = 900, 600
    spec = ViewSpec(size=8, crop_scale=(0.3, 1.0), **PLAIN)
    batch = batch_of(count)
    views = make_views(batch, [spec, spec], get_backend("cpu"), seed=0, epoch=0)
    features = views[0].flatten(1)

    def scores(labels):
        box, flip = column(labels, "crop_y", "crop_x", "crop_height", "crop_width").double(), column(labels, "flip")
        guessed = linear(features, flip, train) > 0.5
        return r2(box[train:], linear(features, box, train)), float((guessed == (flip[train:] > 0.5)).double().mean())

    def drawn(epoch, view):
        return view_labels(sample_params(batch, [spec, spec], seed=0, epoch=epoch)[view], spec, HEIGHT, WIDTH)

    fit, accuracy = scores(drawn(0, 0))
    assert fit > 0.95
    assert accuracy > 0.95
    rolled = drawn(0, 0).roll(1, dims=0)
    for wrong in (rolled, drawn(0, 1), drawn(1, 0)):
        fit, accuracy = scores(wrong)
        assert fit < 0.2
        assert accuracy < 0.65


def test_labels_have_their_neutral_values_where_nothing_happens():
    spec = ViewSpec.plain(16)
    labels = view_labels(sample(spec, ViewKey(0, 0, 0, torch.arange(3)), 20, 40), spec, 20, 40)
    assert labels.shape == (3, len(LABELS))
    assert labels.dtype == torch.float32
    ones = {"crop_height", "crop_width", "brightness", "contrast", "saturation"}
    expected = [0.5 if name in ("crop_y", "crop_x") else float(name in ones) for name in LABELS]
    assert labels[0].tolist() == expected


def test_labels_are_the_drawn_numbers_in_their_units():
    spec = ViewSpec(size=20, pad=4, vertical_flip_p=0.5, rotation=90.0, translate=0.25, jitter_p=1.0, gray_p=0.5,
                    blur_p=1.0, solarize_p=0.5, noise_p=1.0, noise_sigma=(0.1, 0.3), erase_p=1.0)  # fmt: skip
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(50)), 30, 40)
    labels = view_labels(params, spec, 30, 40)
    expected = {
        "shift_y": params.shift[:, 0] / 20, "shift_x": params.shift[:, 1] / 20, "angle": params.angle / 180,
        "translate_y": params.translate[:, 0] / 20, "translate_x": params.translate[:, 1] / 20,
        "brightness": params.brightness, "contrast": params.contrast, "saturation": params.saturation,
        "hue": params.hue, "gray": params.gray.float(), "blur_sigma": params.blur_sigma,
        "solarize": params.solarize.float(), "noise_sigma": params.noise_sigma,
        "erase_y": (params.erase[:, 0] + params.erase[:, 2] / 2) / 20, "erase_height": params.erase[:, 2] / 20,
        "erase_x": (params.erase[:, 1] + params.erase[:, 3] / 2) / 20, "erase_width": params.erase[:, 3] / 20,
    }  # fmt: skip
    for name, truth in expected.items():
        values = column(labels, name)[:, 0]
        torch.testing.assert_close(values, truth)
        assert values.unique().numel() > 1, name
