"""The compiled CPU backend: the default there. Threads share the views of a batch; each view is one thread's."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Int32

from fastssl.augment.chain import ViewBackend
from fastssl.augment.cpu_kernel import Settings, make_views
from fastssl.errors import InputError
from fastssl.types import Images, Views
from fastssl.views import ViewParams, ViewSpec

_SHARE = 16 * 32 * 32
"""Fewest pixels of views worth a task of their own: about a tenth of a millisecond."""


class CpuBackend(ViewBackend):
    """All operations compiled by numba, with the interpreter's lock released.

    Bit for bit the same for any number of threads. `num_threads` None takes torch's at each call. The first call in a
    fresh installation compiles for some seconds (and the first on float images for some more); the code is then kept
    on disk. bfloat16 is rounded in the same pass, other types in one of their own.
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
        for one in params:
            _check_boxes(one.crop, height, width)
        pixels = images.permute(0, 2, 3, 1).to(torch.float32 if images.is_floating_point() else torch.uint8)
        rows = pixels.contiguous().view(b, height, width * 3).numpy()
        made = torch.bfloat16 if dtype == torch.bfloat16 else torch.float32
        gain = 1.0 if images.is_floating_point() else 1 / 255
        outs = [torch.empty(b, spec.size, spec.size, 3, dtype=made) for spec in specs]
        tasks = [
            (one.table.contiguous(), _settings(spec, gain, made), out)
            for one, spec, out in zip(params, specs, outs, strict=True)
        ]
        self._run(rows, tasks)
        return tuple(out.permute(0, 3, 1, 2).to(dtype) for out in outs)

    def _run(self, rows: Any, tasks: Sequence[tuple[torch.Tensor, Settings, torch.Tensor]]) -> None:
        """Every view of some images, then of the next ones: their pixels are then still near."""
        threads = self.num_threads or torch.get_num_threads()
        pixels = len(rows) * max(settings.size**2 for _, settings, _ in tasks)
        shares = max(1, min(2 * threads, len(rows), pixels // _SHARE)) if threads > 1 else 1
        edges = [len(rows) * share // shares for share in range(shares + 1)]
        parts = [(rows[low:high], table[low:high], settings, out[low:high]) for low, high in pairwise(edges)
                 for table, settings, out in tasks]  # fmt: skip
        if len(parts) == 1 or threads == 1:
            for part in parts:
                _make(*part)
        else:
            list(self._threads(threads).map(lambda part: _make(*part), parts))  # waits, and raises what a thread raised

    def _threads(self, threads: int) -> ThreadPoolExecutor:
        """The pool, made anew after a fork (threads do not survive one) or when the number changes."""
        if self._pool is None or self._pool_of != (os.getpid(), threads):
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fastssl-augment")
            self._pool_of = (os.getpid(), threads)
        return self._pool


def _check_boxes(crop: Int32[torch.Tensor, "b 4"], height: int, width: int) -> None:
    """Compiled code does not look where it reads, and boxes drawn for larger images lead outside."""
    top, left, tall, wide = crop.unbind(1)
    ends = torch.stack((top + tall - height, left + wide - width, -top, -left, 1 - tall, 1 - wide))
    if ends.numel() and ends.max() > 0:
        raise InputError(f"params hold crops outside of images of {height} x {width} px; draw them for that size")


def _make(rows: Any, table: torch.Tensor, settings: Settings, out: torch.Tensor) -> None:
    floats = table.view(torch.float32)
    make_views(rows, table.numpy(), floats.numpy(), settings, out.flatten(2).view(torch.uint16).numpy())


def _settings(spec: ViewSpec, gain: float, dtype: torch.dtype) -> Settings:
    assert spec.mean is not None
    assert spec.std is not None
    red, green, blue = (float(value) for value in spec.mean)
    per_red, per_green, per_blue = (1.0 / value for value in spec.std)
    return Settings(
        size=spec.size,
        gain=gain,
        cubic=spec.interpolation == "bicubic",
        antialias=spec.antialias,
        blur_taps=spec.blur_kernel,
        threshold=float(spec.solarize_threshold),
        mean=(red, green, blue),
        inverse_std=(per_red, per_green, per_blue),
        erase_value=float(spec.erase_value),
        halves=dtype == torch.bfloat16,
    )
