"""How long a round is, and how it is timed on a GPU.

A fast contestant needs less of the GPU than of the host that queues its work: between two events on an idle GPU lies
the host's time. So the device is kept busy for a while before the first event, and the host queues the round meanwhile.
What then lies between the events is the device's work alone. The host's time is taken apart, without that.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch

MOST_CALLS = 64
"""Batches of one round on a GPU: beyond that nothing is gained, as events resolve half a microsecond."""
MOST_LAUNCHES = 1000
"""A CUDA stream takes about 1,024 before whoever launches more has to wait (drivers of today; it is not documented)."""
UNCOUNTED = 100
"""Launches of a call that could not be counted."""
MOST_SPIN_S = 0.2
"""Longest time that the device is kept busy before a round."""
AHEAD = 2.0
"""It is kept busy that many times as long as the host needs, as one call measures that badly."""


@dataclass(frozen=True)
class Plan:
    calls: int = 1
    """Batches of one round."""
    spin_s: float = 0.0
    """How long a GPU is kept busy before it; 0 where the host cannot be ahead, whatever one does."""


class GpuRound(NamedTuple):
    device_s: float
    """Between the events around the work."""
    host_s: float
    """Until the work had been queued."""
    ahead: bool
    """Whether all of it was queued before the device came to it, so that `device_s` is the device's alone."""


def plan_round(shortest_s: float, call_s: float) -> Plan:
    """As many calls of `call_s` seconds as last `shortest_s`."""
    return Plan(max(1, math.ceil(shortest_s / call_s)))


def plan_queued_round(shortest_s: float, call_s: float, host_s: float, launches: int | None) -> Plan:
    """The same on a GPU, if it can be with fewer calls where the host must queue all of them during the spin.

    Args:
        call_s: seconds of one call until its work is done.
        host_s: seconds of one call until it returns.
        launches: kernels, copies and fills of one call; None, where they cannot be counted, is taken for many.
    """
    calls = min(MOST_CALLS, plan_round(shortest_s, call_s).calls)
    queueable = min(MOST_LAUNCHES // (launches or UNCOUNTED), math.floor(MOST_SPIN_S / (AHEAD * host_s)))
    if queueable < 1:
        return Plan(calls)
    calls = min(calls, queueable)
    return Plan(calls, AHEAD * calls * host_s)


def time_call(call: Callable[[], object], device: str) -> tuple[float, float]:
    """Seconds until it returned, and until its work was done; nothing is queued before it."""
    _synchronise(device)
    started = time.perf_counter()
    call()
    returned = time.perf_counter()
    _synchronise(device)
    return returned - started, time.perf_counter() - started


def time_on_gpu(work: Callable[[], object], spin_s: float) -> GpuRound:
    """One round, with the device kept busy for `spin_s` before it. Waits for the device."""
    cycles = int(spin_s * _cycles_per_s()) if spin_s > 0 and hasattr(torch.cuda, "_sleep") else 0
    begin, first, last = (torch.cuda.Event(enable_timing=True) for _ in range(3))
    begun = time.perf_counter()
    begin.record()
    if cycles:  # torch has no public spin; without its private one nothing is queued ahead, and no round says so
        torch.cuda._sleep(cycles)
    first.record()
    started = time.perf_counter()
    work()
    ended = time.perf_counter()
    last.record()
    last.synchronize()
    ahead = ended - begun < begin.elapsed_time(first) / 1000
    return GpuRound(first.elapsed_time(last) / 1000, ended - started, ahead)


def count_launches(work: Callable[[], object]) -> int | None:
    """Kernels, copies and fills that the work puts on the GPU, by torch's profiler; None where it may not look."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profiler.events()) or None


@cache
def _cycles_per_s() -> float:
    """Of the clock that the spin counts; the first is not measured, as it loads the code."""
    cycles = 20_000_000
    torch.cuda._sleep(cycles)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    torch.cuda._sleep(cycles)
    last.record()
    last.synchronize()
    return cycles / (first.elapsed_time(last) / 1000)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
