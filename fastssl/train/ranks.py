"""Several processes that train one model, one per device, started by `torchrun`: docs/several-gpus.md.

In one process every function here gives back what it is given, and waits for nobody. Process 0 is the *first*: it
alone says, writes and probes. The processes talk over two paths: gradients over the devices' own (NCCL between GPUs),
and a few numbers over the CPUs' (gloo), which waits for no device.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.gather import rank, world_size
from fastssl.methods.precision import at_least_float32
from fastssl.types import MethodOutput

P = ParamSpec("P")
T = TypeVar("T")

_ADDRESS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(days=1)
"""The others wait for the first while it probes. A process that ends is noticed at once, by `torchrun`."""


def is_first() -> bool:
    """Whether this process is the one that says, writes and probes."""
    return rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """Joins the processes that `torchrun` started, until the end of the block; a group that there is already is taken.

    When one of them fails, its error is the only one to be raised: the others, which fail for want of it, leave by
    `SystemExit`.
    """
    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1 or not all(name in os.environ for name in _ADDRESS)
    if alone or dist.is_initialized():
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backends, store=dist.PrefixStore("fastssl", store), rank=number, world_size=count,
                            timeout=_PATIENCE)  # fmt: skip
    try:
        yield
    except BaseException:
        if not _fails_first(store):
            raise SystemExit(1) from None
        raise  # with the group as it is: to end it could take waiting for those who wait for us
    dist.destroy_process_group()


def _fails_first(store: Any) -> bool:
    try:
        return store.add("fastssl-failures", 1) == 1
    except RuntimeError:  # the store has ended with its process
        return False


def own_device() -> torch.device:
    """The CUDA device of this process. Errors: `InputError` when there are more processes than devices."""
    if world_size() == 1:
        return torch.device("cuda")
    local, devices = int(os.environ.get("LOCAL_RANK", rank())), torch.cuda.device_count()
    if local >= devices:
        raise InputError(f"LOCAL_RANK={local} has no CUDA device of its own: torch sees {devices}; start as many "
                         f"processes as devices (torchrun --nproc-per-node {devices})")  # fmt: skip
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def only_first(call: Callable[P, None]) -> Callable[P, None]:
    """`call` in the first process; nothing in the others."""
    return call if is_first() else _silent


def _silent(*_: Any, **__: Any) -> None:
    """Says nothing."""


def on_first(job: Callable[[], T]) -> T:
    """What `job` gives in the first process, in all of them; the others wait for it. It must pickle."""
    if world_size() == 1:
        return job()
    answer: list[Any] = [job() if is_first() else None]
    dist.broadcast_object_list(answer, src=0, device=torch.device("cpu"))
    return answer[0]


def collected(value: T) -> list[T]:
    """Every process's value, in the order of ranks, in the first process; [] in the others. It must pickle."""
    if world_size() == 1:
        return [value]
    everyone: list[Any] = [None] * world_size()
    dist.gather_object(value, everyone if is_first() else None, dst=0)
    return everyone if is_first() else []


def agreed(*values: float) -> tuple[float, ...]:
    """The first process's values, in all of them: of what hangs on a clock, so that all take the same turn.

    A message between CPUs: the others cannot be a step ahead of the first, the first waits for nobody, and no device
    is waited for.
    """
    if world_size() == 1:
        return values
    message = torch.tensor(values, dtype=torch.float64)
    dist.broadcast(message, src=0)
    return tuple(message.tolist())


def require_same(name: str, value: str) -> None:
    """Errors: `InputError` when the first process has another value: processes that train different things together."""
    first = on_first(lambda: value)
    if value != first:
        raise InputError(f"{name}={value} in process {rank()} is {first} in the first; give all processes one recipe, "
                         "and the same data")  # fmt: skip


def average(method: nn.Module, output: MethodOutput) -> MethodOutput:
    """Makes gradients, loss and logs those of the global batch: their means over the processes, in one sum.

    Parameters that the method keeps for itself (`unreduced_parameters()`: its own part of a shared layer) keep their
    gradient; what is not finite in one makes the others' not finite too, so that a gradient scaler skips the same steps
    everywhere. Waits for no device.
    """
    if world_size() == 1:
        return output
    own = {id(p) for p in getattr(method, "unreduced_parameters", tuple)()}
    trained = [(id(p) in own, p.grad) for p in method.parameters() if p.grad is not None]
    grads = [grad for is_own, grad in trained if not is_own]
    bad = [(grad * 0).sum() for is_own, grad in trained if is_own]  # 0, or not a number
    values = [*grads, output.loss.detach(), *output.logs.values(), *bad]
    flat = torch.cat([at_least_float32(x.flatten()) for x in values])
    dist.all_reduce(flat)
    parts = flat.div_(world_size()).split([x.numel() for x in values])
    means = [part.view(x.shape) for part, x in zip(parts, values)]
    if grads:
        torch._foreach_copy_(grads, means[: len(grads)])
    loss, *others = means[len(grads) :]
    for nought in others[len(output.logs) :]:
        grads[0].add_(nought)
    return MethodOutput(loss, dict(zip(output.logs, others)))
