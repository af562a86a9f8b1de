"""What only the fused backend has: rows of a resident set, views made together, blocks, devices it refuses.

Its operations are held against the oracle in `test_backends.py`, like those of every backend.
"""

from dataclasses import replace

import pytest
import torch
from oracle import TOLERANCE

pytest.importorskip("triton")

from test_backends import EVERYTHING, NORM, SPECS, assert_close, oracle, pictures

from fastssl.augment import fused, get_backend, make_views
from fastssl.augment.fused import FusedBackend
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample, sample_views
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewKey, ViewSpec

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIMCLR = ViewSpec(size=8, **NORM)
MULTI_CROP = [replace(SIMCLR, size=11), SIMCLR, replace(SIMCLR, size=11, blur_p=1.0)]


def drawn(specs, count, height, width):
    return sample_views(specs, ViewKey(0, 1, 0, torch.arange(count, device=DEVICE)), height, width)


def test_fused_reads_rows_of_a_resident_set():
    images = pictures(9, 13, 10).to(DEVICE)
    rows = torch.tensor([8, 2, 2], device=DEVICE)
    params = drawn(MULTI_CROP, 3, 13, 10)
    backend = FusedBackend()
    alone = backend.apply_views(images[rows], params, MULTI_CROP, torch.float32)
    for stored in (images, images.contiguous()):
        gathered = backend.apply_views(stored, params, MULTI_CROP, torch.float32, rows=rows)
        assert all(torch.equal(one, other) for one, other in zip(gathered, alone, strict=True))


@pytest.mark.parametrize(("specs", "launches"), [([SIMCLR] * 4, 1), (MULTI_CROP, 2), ([MULTI_CROP[0]], 1)])
def test_fused_makes_views_that_share_constants_in_one_launch(specs, launches, monkeypatch):
    tables = []

    def counted(images, rows, table, constants, dtype):
        tables.append(table)
        return torch.zeros(*table.shape[:2], constants.size, constants.size, 3, dtype=dtype)

    monkeypatch.setattr(fused, "augment_views", counted)
    views = FusedBackend().apply_views(pictures(6, 9, 9).to(DEVICE), drawn(specs, 6, 9, 9), specs, torch.float32)
    assert len(tables) == launches
    assert [view.shape[-1] for view in views] == [spec.size for spec in specs]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "size"), [(70, 31, 7), (6, 5, 66), (1, 40, 9)])
def test_fused_meets_the_oracle_where_sizes_are_far_apart(height, width, size, interpolation):
    """Filters of up to 40 taps, ten view pixels per source pixel, more than one block of pixels, a crop of one row."""
    spec = ViewSpec(size=size, interpolation=interpolation, crop_ratio=(0.1, 10.0), jitter_p=1.0, **NORM)
    images = pictures(6, height, width)[2:5]
    params = sample(spec, ViewKey(2, 0, 0, torch.arange(3)), height, width)
    truth = ReferenceBackend().apply(images, params, spec)
    on_device = type(params)(params.table.to(DEVICE))
    assert_close(FusedBackend().apply(images.to(DEVICE), on_device, spec).cpu(), truth, torch.float32)


def test_fused_refuses_what_its_kernel_would_read_wrongly():
    images, rows, backend = pictures(6, 9, 9).to(DEVICE), torch.arange(5, device=DEVICE), FusedBackend()
    with pytest.raises(InputError, match="params of 5 samples"):
        backend.apply_views(images, drawn([SIMCLR], 5, 9, 9), [SIMCLR], torch.float32)
    with pytest.raises(InputError, match="params of 6 samples"):
        backend.apply_views(images, drawn([SIMCLR], 6, 9, 9), [SIMCLR], torch.float32, rows=rows)


def test_fused_refuses_a_cpu_where_triton_is_not_interpreted(monkeypatch):
    monkeypatch.setattr(fused, "INTERPRETED", False)
    with pytest.raises(InputError, match=r"backend='fused' needs a CUDA device, not cpu; give backend 'cpu'"):
        get_backend("fused", "cpu")
    reason = FusedBackend().supports(SIMCLR, torch.device("cpu"))
    assert reason is not None
    assert "needs a CUDA device" in reason


@pytest.mark.gpu
@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_fused_on_cuda_meets_the_oracle_without_a_sync(case, dtype):
    spec = SPECS[case][1]
    images, _, truth = oracle(case, 48)
    index = torch.arange(48, device="cuda")
    batch = Batch(images=images.cuda(), labels=index, index=index)
    backend = get_backend("fused", "cuda")
    views = [None]
    for mode in ("default", "error"):  # constants are copied to the device, and kernels compiled, once
        torch.cuda.set_sync_debug_mode(mode)
        try:
            views = make_views(batch, [spec] * 3, backend, seed=0, epoch=1, dtype=dtype)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert_close(views[2].cpu(), truth, dtype)


@pytest.mark.gpu
def test_fused_on_cuda_makes_large_blurred_views():
    """224 px: a program goes through 98 blocks, and reads in one pass what other threads wrote in the one before."""
    spec = ViewSpec(size=224, blur_kernel=23, **{**EVERYTHING, "blur_p": 1.0})
    images = pictures(16, 300, 260)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(16)), 300, 260)
    truth = ReferenceBackend().apply(images, params, spec)
    views = FusedBackend().apply(images.cuda(), type(params)(params.table.cuda()), spec)
    assert_close(views.cpu(), truth, torch.float32)
