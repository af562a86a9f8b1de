"""Features with an answer that is neither trivial nor out of reach."""

import torch

from fastssl.evals import Features


def blobs(num_train=1500, num_test=2000, num_classes=5, dim=20, apart=0.8, seed=3):
    """Gaussian classes of unequal spread, some columns large, one constant; labels come in order 0 1 2 ..."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(num_train + num_test) % num_classes
    x = apart * torch.randn(num_classes, dim, generator=generator)[y]
    x = (x + torch.randn(len(y), dim, generator=generator)) * torch.logspace(-2, 2, dim) + 3.0
    x[:, 1] = 7.0
    return Features(x[:num_train], y[:num_train], x[num_train:], y[num_train:], num_classes)
