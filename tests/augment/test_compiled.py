"""Machine code is kept on disk where it can be, and that it cannot be kept stops nobody."""

import subprocess
import sys

import numba
import pytest

from fastssl.augment.compiled import compiled


def test_compiled_code_is_cached_on_disk():
    from fastssl.augment.cpu_kernel import make_views
    from fastssl.augment.sample_cpu import _sample

    for kernel in (make_views, _sample):
        assert kernel._cache.cache_path


def test_compiled_without_a_place_to_cache_still_runs(monkeypatch):
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'twice': no locator available for file 'twice.py'")
        return numba.core.decorators.njit(**options)

    monkeypatch.setattr("fastssl.augment.compiled.numba.njit", njit)
    assert compiled()(lambda x: 2 * x)(21) == 42
    assert asked == [True, False]


@pytest.mark.slow
def test_second_process_loads_the_code_instead_of_compiling(tmp_path):
    script = (
        "import time, torch\n"
        "from fastssl.augment.cpu import CpuBackend\n"
        "from fastssl.augment.cpu_kernel import make_views as kernel\n"
        "from fastssl.augment.sample import sample\n"
        "from fastssl.views import ViewKey, ViewSpec\n"
        "spec = ViewSpec(size=8, mean=(0, 0, 0), std=(1, 1, 1))\n"
        "images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)\n"
        "CpuBackend().apply(images, sample(spec, ViewKey(0, 0, 0, torch.arange(4)), 8, 8), spec)\n"
        "print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))\n"
    )
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    counts = [
        subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert [count.split() for count in counts] == [["0", "1"], ["1", "0"]]
