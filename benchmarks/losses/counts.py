"""What one step takes, counted instead of timed: floating-point operations, bytes moved, memory. Exact anywhere."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

WRITTEN_ONLY = ("copy_", "fill_", "zero_")
"""Operations that do not read what they write to."""
NOTHING_MOVED = ("empty", "detach")


class _Work(TorchDispatchMode):
    """Adds up what every operation computes, reads and writes, backward pass included."""

    flops = moved_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        formula = flop_registry.get(getattr(torch.ops.aten, name.rstrip("_"), None))  # of addmm_ that of addmm
        if formula is not None and func.namespace == "aten":
            self.flops += formula(*args, **kwargs, out_val=out)
        if not (func.is_view or any(word in name for word in NOTHING_MOVED)):
            read = args[1:] if name in WRITTEN_ONLY else args
            self.moved_bytes += sum(_bytes(leaf) for leaf in tree_leaves((read, kwargs, out)))
        return out


def _bytes(leaf: object) -> int:
    """Of an expanded tensor, those that exist."""
    if not isinstance(leaf, Tensor):
        return 0
    return min(leaf.numel() * leaf.element_size(), leaf.untyped_storage().nbytes())


def count_work(step: Callable[[], object]) -> dict[str, int]:
    """`flops` of products of matrices (a multiplication and an addition are two), and `moved_bytes`, as if nothing that
    an operation reads were in a cache."""
    with _Work() as work:
        step()
    return {"flops": work.flops, "moved_bytes": work.moved_bytes}


def peak_bytes(step: Callable[[], object], device: str) -> int:
    """Most memory of torch's allocator that one step holds beyond what there was before, its results included.

    On a GPU the workspaces of libraries must exist already: run the step once before.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with _silence(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    return _highest(profiler)


def _highest(profiler: profile) -> int:
    """The largest running sum of what was allocated and freed; every event of the CPU's allocator is in the trace."""
    events = profiler.profiler.kineto_results.events()  # type: ignore
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    held = highest = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        held += change
        highest = max(highest, held)
    return highest


@contextmanager
def _silence() -> Iterator[None]:
    """The profiler's library writes a line to the standard error per start and stop, whatever its log level."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
