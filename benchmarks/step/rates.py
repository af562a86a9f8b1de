"""What the device can do at most: copies, matrix products, copies from the host. Measured beside what is measured."""

import statistics
import time
from collections.abc import Callable

import torch

ROUNDS = 7
SIDE = {"cuda": 8192, "cpu": 1024}
COPY_BYTES = {"cuda": 1 << 31, "cpu": 1 << 28}
"""Far beyond the caches, so that memory is what is measured."""


def rates(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """`matrix_flops_per_s` of a square product in `dtype`; `copy_bytes_per_s`, read and written together;
    `h2d_bytes_per_s` from pinned memory (on a GPU). Medians of seven."""
    side, size = SIDE[device.type], COPY_BYTES[device.type]
    left = torch.randn(side, side, device=device).to(dtype)
    right = torch.randn(side, side, device=device).to(dtype)
    source, target = (torch.zeros(size // 4, dtype=torch.int32, device=device) for _ in range(2))
    found = {
        "matrix_flops_per_s": 2 * side**3 / _seconds(lambda: left @ right, device),
        "copy_bytes_per_s": 2 * size / _seconds(lambda: target.copy_(source), device),
    }
    if device.type == "cuda":
        host = torch.empty(1 << 28, dtype=torch.uint8).pin_memory()
        there = torch.empty_like(host, device=device)
        seconds = _seconds(lambda: there.copy_(host, non_blocking=True), device)
        found["h2d_bytes_per_s"] = host.numel() / seconds
    return found


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median of rounds after two that are not counted."""
    spent = []
    for _ in range(ROUNDS + 2):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent[2:])
