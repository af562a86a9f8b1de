"""The Triton kernel of the views: its numbers, its random words, and that it compiles for GPUs that are not here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

import triton.language as tl

from fastssl.augment import colour, plan, resize
from fastssl.kernels import colour_views, resize_views
from fastssl.kernels.jit import jit
from fastssl.kernels.philox import philox4x32
from fastssl.kernels.philox_triton import philox4x32 as triton_philox

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SCRIPT = Path(__file__).parent / "compile_kernels.py"


@jit
def write_words(counters, keys, out):
    lane = tl.arange(0, 16)
    c0 = tl.load(counters + lane).to(tl.uint32, bitcast=True)
    c1 = tl.load(counters + 16 + lane).to(tl.uint32, bitcast=True)
    c2 = tl.load(counters + 32 + lane).to(tl.uint32, bitcast=True)
    c3 = tl.load(counters + 48 + lane).to(tl.uint32, bitcast=True)
    k0 = tl.load(keys + lane).to(tl.uint32, bitcast=True)
    k1 = tl.load(keys + 16 + lane).to(tl.uint32, bitcast=True)
    w0, w1, w2, w3 = triton_philox(c0, c1, c2, c3, k0, k1)
    tl.store(out + lane, w0.to(tl.int32, bitcast=True))
    tl.store(out + 16 + lane, w1.to(tl.int32, bitcast=True))
    tl.store(out + 32 + lane, w2.to(tl.int32, bitcast=True))
    tl.store(out + 48 + lane, w3.to(tl.int32, bitcast=True))


def test_triton_philox_gives_the_words_of_philox():
    counters = torch.arange(64, device=DEVICE).view(4, 16) * 0x9E3779B97F4A7C15 >> 32 & 0xFFFFFFFF
    counters[:, 0], counters[:, 1] = 0, 0xFFFFFFFF
    keys = counters[2:].flip(1).contiguous()
    out = torch.empty(4, 16, dtype=torch.int32, device=DEVICE)
    write_words[(1,)]((counters << 32 >> 32).to(torch.int32), (keys << 32 >> 32).to(torch.int32), out)
    expected = torch.stack(philox4x32(tuple(counters), (keys[0], keys[1])))
    assert torch.equal(out.long() & 0xFFFFFFFF, expected)


def test_kernel_has_the_numbers_of_the_augmentation():
    luma = (colour_views.RED.value, colour_views.GREEN.value, colour_views.BLUE.value)
    assert luma == colour.GRAY_WEIGHTS
    operations = (colour_views.CONTRAST.value, colour_views.SATURATION.value, colour_views.HUE.value)
    assert operations == (plan.CONTRAST, plan.SATURATION, plan.HUE)
    cubics = (resize_views.CUBIC_ANTIALIAS.value, resize_views.CUBIC_PLAIN.value)
    assert cubics == (resize.CUBIC_ANTIALIAS, resize.CUBIC_PLAIN)


@pytest.mark.parametrize(("which", "architectures", "count"), [
    ("usual", ["90"], 2), pytest.param("all", ["80", "90"], 22, marks=pytest.mark.slow),
])  # fmt: skip
def test_kernels_compile_without_a_gpu(which, architectures, count, tmp_path):
    """Machine code from ptxas, without a GPU: what the interpreter does not check (types, shapes, both branches)."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    command = [sys.executable, SCRIPT, which, *architectures]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == count
    assert done.stdout.count("bytes, 0 fused products") == len(architectures)
