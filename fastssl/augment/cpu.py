"""The compiled CPU backend: the default there. Threads share the images of a batch; each image is one thread's."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch

from fastssl.augment.chain import ViewBackend
from fastssl.augment.cpu_kernel import Drawn, Settings, make_views
from fastssl.types import Images, Views
from fastssl.views import ViewParams, ViewSpec

_SHARE = 16
"""Fewest images worth a thread of their own: about a quarter of a millisecond at 32 px."""


class CpuBackend(ViewBackend):
    """All operations compiled by numba, with the interpreter's lock released.

    Bit for bit the same for any number of threads. `num_threads` None takes torch's at each call. The first call in a
    fresh installation compiles for some seconds; the code is then kept on disk.
    """

    name = "cpu"

    def __init__(self, reason: str = "asked for", num_threads: int | None = None) -> None:
        super().__init__(reason)
        self.num_threads = num_threads
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = (0, 0)

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        if device.type != "cpu":
            return f"it cannot read images on {device.type}; give backend 'auto' or 'kornia'"
        return super().supports(spec, device)

    def _apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views:
        b, _, height, width = images.shape
        rows = images.permute(0, 2, 3, 1).contiguous().view(b, height, width * 3).numpy()
        made = []
        for one, spec in zip(params, specs, strict=True):
            out = torch.empty(b, spec.size, spec.size, 3)
            self._run(rows, _drawn(one), _settings(spec), out.numpy())
            made.append(out.permute(0, 3, 1, 2).to(dtype))
        return tuple(made)

    def _run(self, images, drawn: Drawn, settings: Settings, out) -> None:
        threads = self.num_threads or torch.get_num_threads()
        shares = max(1, min(2 * threads, len(images) // _SHARE)) if threads > 1 else 1
        if shares == 1:
            make_views(images, drawn, settings, out)
            return
        edges = [len(images) * share // shares for share in range(shares + 1)]
        parts = [slice(*edge) for edge in pairwise(edges)]
        made = self._threads(threads).map(
            lambda part: make_views(images[part], _part(drawn, part), settings, out[part]), parts
        )
        list(made)  # waits, and raises what a thread raised

    def _threads(self, threads: int) -> ThreadPoolExecutor:
        """The pool, made anew after a fork (threads do not survive one) or when the number changes."""
        if self._pool is None or self._pool_of != (os.getpid(), threads):
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fastssl-augment")
            self._pool_of = (os.getpid(), threads)
        return self._pool


def _settings(spec: ViewSpec) -> Settings:
    assert spec.mean is not None
    assert spec.std is not None
    red, green, blue = (float(value) for value in spec.mean)
    per_red, per_green, per_blue = (1.0 / value for value in spec.std)
    return Settings(
        size=spec.size,
        cubic=spec.interpolation == "bicubic",
        antialias=spec.antialias,
        blur_taps=spec.blur_kernel,
        threshold=float(spec.solarize_threshold),
        mean=(red, green, blue),
        inverse_std=(per_red, per_green, per_blue),
    )


def _drawn(params: ViewParams) -> Drawn:
    factors = torch.stack((params.brightness, params.contrast, params.saturation, params.hue), dim=1)
    arrays = (params.crop, params.flip, factors, params.jitter_order, params.gray, params.blur_sigma, params.solarize)
    return Drawn(*(array.contiguous().numpy() for array in arrays))


def _part(drawn: Drawn, part: slice) -> Drawn:
    return Drawn(*(array[part] for array in drawn))
