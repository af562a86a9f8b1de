"""Peak memory and time of one forward and backward pass of DIET's loss, in a process of its own.

    python -m benchmarks.diet_memory --rows 1281167 --dim 64 --batch 256 --block auto
    python -m benchmarks.diet_memory --device cuda --rows 1281167 --dim 512 --batch 256 --block auto 65536 dense

Prints one JSON object per `--block`: a number of rows, `auto`, or `dense` for `torch.nn.functional.cross_entropy` on
the whole matrix of logits. `rise_bytes` is how far memory rose during the pass, the gradients it left behind included
(`gradient_bytes`): on a CPU from the high-water mark of the process, which only rises, so each block size is a process
of its own there; on a GPU from the allocator. Times on a CPU are one pass; on a GPU the median of seven.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from fastssl.methods.diet_loss import diet_loss

EPS = 0.8


def in_fresh_process(rows: int, dim: int, batch: int, block: str, device: str = "cpu") -> dict[str, float | str]:
    """What `measure` gives, measured in a process that has done nothing else."""
    case = {"rows": rows, "dim": dim, "batch": batch, "block": block, "device": device}
    options = [part for name, value in case.items() for part in (f"--{name}", str(value))]
    done = subprocess.run([sys.executable, "-m", "benchmarks.diet_memory", *options], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def measure(rows: int, dim: int, batch: int, block: str, device: str = "cpu") -> dict[str, float | str]:
    """Bytes and seconds of one pass over `rows` x `dim` weights; embeddings and weights are small random numbers."""
    generator = torch.Generator(device).manual_seed(0)
    draw = lambda n: torch.empty(n, dim, device=device).uniform_(-0.1, 0.1, generator=generator).requires_grad_()
    z, weight = draw(batch), draw(rows)
    target = torch.arange(batch, device=device) * (rows // batch)
    few = weight[:64].detach().requires_grad_()
    _one_pass(z, few, target % 64, block)  # what libraries allocate for good is not the loss's
    z.grad = few.grad = None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = _peak_bytes(device)
    start = time.perf_counter()
    loss = _one_pass(z, weight, target, block)
    seconds = time.perf_counter() - start
    rise = _peak_bytes(device) - before
    if device == "cuda":
        seconds = statistics.median(_time_on_gpu(z, weight, target, block) for _ in range(7))
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {"device": name, "rows": rows, "dim": dim, "batch": batch, "block": block, "loss": loss,
            "gradient_bytes": 4 * dim * (rows + batch), "rise_bytes": rise, "pass_s": seconds}  # fmt: skip


def _one_pass(z: Tensor, weight: Tensor, target: Tensor, block: str) -> float:
    if block == "dense":
        loss = F.cross_entropy(z @ weight.T, target, label_smoothing=EPS)
    else:
        loss = diet_loss(z, weight, target, EPS, "auto" if block == "auto" else int(block))
    loss.backward()
    return loss.item()


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _time_on_gpu(z: Tensor, weight: Tensor, target: Tensor, block: str) -> float:
    z.grad = weight.grad = None
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    _one_pass(z, weight, target, block)
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--block", nargs="+", default=["auto"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tf32", action="store_true", help="products of float32 through TF32, on a GPU")
    given = parser.parse_args()
    if given.tf32:
        torch.set_float32_matmul_precision("high")
    for block in given.block:
        case = (given.rows, given.dim, given.batch, block, given.device)
        alone = given.device == "cpu" and len(given.block) > 1
        print(json.dumps(in_fresh_process(*case) if alone else measure(*case)))


if __name__ == "__main__":
    main()
