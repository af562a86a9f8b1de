"""Machine code is kept on disk where it can be, and that it cannot be kept stops nobody."""

import subprocess
import sys
from pathlib import Path

import numba
import pytest

from fastssl.augment import compiled as module
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


def test_code_is_kept_under_another_name_when_any_source_changes(tmp_path, monkeypatch):
    """numba itself looks at the file of the outermost function alone."""
    sources = [tmp_path / path.name for path in module._SOURCES]
    for copy, path in zip(sources, module._SOURCES, strict=True):
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(module, "_SOURCES", sources)
    names = set()
    for changed in (None, *sources):
        if changed is not None:
            changed.write_bytes(changed.read_bytes() + b"#")
        module._digest.cache_clear()
        names.add(compiled()(lambda x: x).__qualname__)
    module._digest.cache_clear()
    assert len(names) == 1 + len(sources)


def test_every_file_that_compiled_code_is_made_of_is_watched():
    from fastssl.augment import cpu_kernel, sample_cpu

    seen, left = set(), [cpu_kernel, sample_cpu]
    while left:
        here = left.pop()
        seen.add(here)
        for value in vars(here).values():
            of = sys.modules.get(getattr(getattr(value, "py_func", None), "__module__", ""))
            if of is not None and of not in seen:
                left.append(of)
    assert {Path(one.__file__) for one in seen} <= set(module._SOURCES)


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
