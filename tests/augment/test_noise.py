"""The noise is normal, independent, and a function of key and pixel alone."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import functional as tv

from fastssl.augment import noise
from fastssl.augment.noise import add_noise, gaussian_noise
from fastssl.kernels.philox import philox4x32


def keys(count, seed=0):
    return torch.randint(0, 2**32, (count, 2), generator=torch.Generator().manual_seed(seed))


def test_noise_is_the_definition_pixel_by_pixel():
    """Python's integers and numpy's float64 functions, for a few pixels of a view of 7 x 7."""
    key = keys(2)
    drawn = gaussian_noise(key, 7)
    for sample, y, x in ((0, 0, 0), (0, 6, 6), (1, 3, 2), (1, 0, 5)):
        w0, w1, w2, w3 = philox4x32((y * 7 + x, 0, 0, 0), tuple(key[sample].tolist()))
        radius = [np.sqrt(-2 * np.log(((w >> 8) + 1) / 2**24)) for w in (w0, w2)]
        angle = [2 * np.pi * (w >> 8) / 2**24 for w in (w1, w3)]
        expected = [radius[0] * np.cos(angle[0]), radius[0] * np.sin(angle[0]), radius[1] * np.cos(angle[1])]
        assert drawn[sample, :, y, x].numpy() == pytest.approx(expected, abs=3e-6)


def test_noise_is_normal_in_every_channel():
    drawn = gaussian_noise(keys(64), 64)
    for channel in range(3):
        assert stats.kstest(drawn[:, channel].flatten().numpy(), "norm").pvalue > 1e-3
    assert drawn.isfinite().all()
    assert drawn.abs().max() < 5.8


def test_noise_is_independent_between_channels_pixels_and_samples():
    drawn = gaussian_noise(keys(256), 32)
    red, green, blue = drawn.unbind(1)
    pairs = {
        "red, green": (red, green),
        "red, blue": (red, blue),
        "green, blue": (green, blue),
        "neighbours in a row": (drawn[..., :-1], drawn[..., 1:]),
        "neighbours in a column": (drawn[..., :-1, :], drawn[..., 1:, :]),
        "samples": (drawn[:-1], drawn[1:]),
    }
    for name, (a, b) in pairs.items():
        for f, g in ((a, b), (a.square(), b.square())):
            correlation = np.corrcoef(f.flatten().numpy(), g.flatten().numpy())[0, 1]
            assert abs(correlation) < 4.5 / np.sqrt(a.numel()), name


def test_noise_of_a_sample_does_not_depend_on_its_batch(monkeypatch):
    pixels = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    sigma = torch.linspace(0, 0.5, 9)
    whole = add_noise(pixels, sigma, keys(9))
    monkeypatch.setattr(noise, "_CHUNK_PIXELS", 2 * 256)
    assert torch.equal(add_noise(pixels, sigma, keys(9)), whole)
    order = torch.tensor([4, 2, 8])
    assert torch.equal(add_noise(pixels[order], sigma[order], keys(9)[order]), whole[order])
    assert not torch.equal(add_noise(pixels, sigma, keys(9, seed=1)), whole)


def test_noise_is_added_and_cut_as_torchvision_does(monkeypatch):
    """torchvision's function with our normal numbers in place of its own."""
    pixels = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    sigma, drawn = torch.tensor([0.0, 0.1, 0.8]), gaussian_noise(keys(3), 16)
    ours = add_noise(pixels, sigma, keys(3))
    assert torch.equal(ours[0], pixels[0])
    for row in (1, 2):
        monkeypatch.setattr(torch, "randn_like", lambda image, row=row: drawn[row])
        torch.testing.assert_close(
            ours[row], tv.gaussian_noise(pixels[row], 0.0, float(sigma[row]), clip=True), atol=1e-6, rtol=0
        )
    assert 0.05 < float((ours[2] == 0).float().mean()) < 0.5  # the cut is at work


def test_noise_leaves_pixels_without_sigma_alone_even_out_of_range():
    pixels = torch.full((2, 3, 4, 4), 1.5)
    assert torch.equal(add_noise(pixels, torch.zeros(2), keys(2)), pixels)
