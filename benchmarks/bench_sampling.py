"""What is drawn for a view, before anything is applied: SimCLR's views at 32 px, in one process.

python -m pytest benchmarks/bench_sampling.py --benchmark-only --records runs/bench/sampling.jsonl
"""

from collections.abc import Callable

import pytest
import torch
from torchvision.transforms import v2

from benchmarks.one_process import timed, write_down
from fastssl.augment.plan import plan_draws
from fastssl.augment.presets import get_preset
from fastssl.augment.sample import sample_torch
from fastssl.augment.sample_cpu import sample_compiled
from fastssl.views import ViewKey, ViewSpec

BATCH, SIDE = 512, 32
SPEC = get_preset("simclr-cifar")[0]


def _key(index: torch.Tensor) -> ViewKey:
    return ViewKey(seed=0, epoch=0, view=0, index=index)


def _torchvision(spec: ViewSpec) -> Callable[[], object]:
    """Crop and jitter, as its transforms draw them: one image after the other."""
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    crop = v2.RandomResizedCrop(spec.size, spec.crop_scale, spec.crop_ratio)  # pyright: ignore[reportArgumentType]
    jitter = v2.ColorJitter(spec.brightness, spec.contrast, spec.saturation, spec.hue)
    return lambda: [(crop.make_params([image]), jitter.make_params([image])) for _ in range(BATCH)]


@pytest.mark.parametrize("name", ["ours: compiled", "ours: torch", "torchvision v2, crop and jitter"])
def test_sampler(name, benchmark, request):
    torch.set_num_threads(1)
    index, plan = torch.arange(BATCH), plan_draws(SPEC, SIDE, SIDE)
    samplers = {
        "ours: compiled": lambda: sample_compiled(plan, _key(index)),
        "ours: torch": lambda: sample_torch([plan], _key(index)),
        "torchvision v2, crop and jitter": _torchvision(SPEC),
    }
    if name == "ours: compiled":
        assert torch.equal(sample_compiled(plan, _key(index)).table, sample_torch([plan], _key(index))[0].table)
    seconds = timed(benchmark, samplers[name], BATCH)
    write_down(request.config.getoption("--records"), "sampling", "simclr-32", name, seconds, ["augment"])
