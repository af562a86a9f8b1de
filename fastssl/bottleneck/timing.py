"""How each cost is measured: a warm-up, then repetitions for about a second; the median of them."""

import statistics
import time
from collections.abc import Callable

import torch

from fastssl.bottleneck.pipeline import Cost

LEAST_REPEATS = 3
"""Where one takes longer than the seconds given, one has to do."""


def measure(work: Callable[[], object], num_images: int, seconds: float, device: torch.device | None = None) -> Cost:
    """Median cost per image of `work`, which handles `num_images`; the first run, which compiles, is not counted.

    Waits for `device` at both edges. CPU time is that of the whole process, all threads: nothing else may run in it.
    """
    work()
    _wait(device)
    walls: list[float] = []
    processor: list[float] = []
    end = time.perf_counter() + seconds
    while not walls or time.perf_counter() < end or (len(walls) < LEAST_REPEATS and walls[-1] < seconds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        _wait(device)
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
    return Cost(statistics.median(walls) / num_images, statistics.median(processor) / num_images)


def measure_once(work: Callable[[], object], num_images: int) -> Cost:
    """Cost per image of a first time that cannot be repeated."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost((time.perf_counter() - wall) / num_images, (time.process_time() - cpu) / num_images)


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
