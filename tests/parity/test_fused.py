"""What only the fused backend has: rows of a resident set, views made together, blocks, devices it refuses.

Its operations are held against the oracle in `test_backends.py`, like those of every backend.
"""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")

from test_backends import EVERYTHING, NORM, assert_close, pictures

from fastssl.augment import fused, get_backend
from fastssl.augment.fused import FusedBackend
from fastssl.augment.plan import plan_draws
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample, sample_views
from fastssl.augment.sample_triton import sample_fused
from fastssl.errors import InputError
from fastssl.views import ViewKey, ViewSpec

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIMCLR = ViewSpec(size=8, **NORM)
MULTI_CROP = [replace(SIMCLR, size=11), SIMCLR, replace(SIMCLR, size=11, blur_p=1.0)]


def drawn(specs, count, height, width):
    return sample_views(specs, ViewKey(0, 1, 0, torch.arange(count, device=DEVICE)), height, width)


def test_fused_reads_rows_of_a_resident_set():
    images = pictures(9, 13, 10).to(DEVICE)
    rows = torch.tensor([8, 2, 2], device=DEVICE)
    specs = MULTI_CROP[:2]
    params = drawn(specs, 3, 13, 10)
    backend = FusedBackend()
    alone = backend.apply_views(images[rows], params, specs, torch.float32)
    for stored in (images, images.contiguous()):
        gathered = backend.apply_views(stored, params, specs, torch.float32, rows=rows)
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
    """Filters of up to 40 taps, ten view pixels per source pixel, more than one block of pixels, a crop of one row.

    Contrast needs the mean over all blocks, hence a second pass: where there is more than one."""
    jitter_p = float(size == 66)
    spec = ViewSpec(size=size, interpolation=interpolation, crop_ratio=(0.1, 10.0), jitter_p=jitter_p, **NORM)
    images = pictures(6, height, width)[2:4]
    params = sample(spec, ViewKey(2, 0, 0, torch.arange(2)), height, width)
    truth = ReferenceBackend().apply(images, params, spec)
    on_device = type(params)(params.table.to(DEVICE))
    assert_close(FusedBackend().apply(images.to(DEVICE), on_device, spec).cpu(), truth, torch.float32)


def test_fused_takes_the_table_of_views_drawn_together_without_a_copy():
    specs = [SIMCLR] * 3
    plans = [plan_draws(spec, 9, 9) for spec in specs]
    together = sample_fused(plans, ViewKey(0, 1, 0, torch.arange(6, device=DEVICE)))
    tables = [one.table for one in together]
    for part in (tables, tables[1:], tables[:1]):
        stacked = fused._stacked(part)
        assert torch.equal(stacked, torch.stack(part))
        assert stacked.data_ptr() == part[0].data_ptr()
    for part in (tables[::2], tables[::-1], [tables[0].clone(), tables[1]]):
        assert torch.equal(fused._stacked(part), torch.stack(part))


def test_fused_refuses_a_cpu_where_triton_is_not_interpreted(monkeypatch):
    monkeypatch.setattr(fused, "INTERPRETED", False)
    with pytest.raises(InputError, match=r"backend='fused' needs a CUDA device, not cpu; give backend 'cpu'"):
        get_backend("fused", "cpu")
    reason = FusedBackend().supports(SIMCLR, torch.device("cpu"))
    assert reason is not None
    assert "needs a CUDA device" in reason


@pytest.mark.gpu
def test_fused_on_cuda_makes_large_blurred_views():
    """224 px: a program goes through 98 blocks, and reads in one pass what other threads wrote in the one before."""
    spec = ViewSpec(size=224, blur_kernel=23, **{**EVERYTHING, "blur_p": 1.0})
    images = pictures(16, 300, 260)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(16)), 300, 260)
    truth = ReferenceBackend().apply(images, params, spec)
    views = FusedBackend().apply(images.cuda(), type(params)(params.table.cuda()), spec)
    assert_close(views.cpu(), truth, torch.float32)
