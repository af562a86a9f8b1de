"""What the tests of several processes run in each of two: `two_ranks.py RANK FOLDER JOB...` leaves FOLDER/JOB-RANK.pt.

Both meet through a file in FOLDER: no port, so runs beside each other do not meet. The jobs know their rank from
`gather`, so a test runs the same job in its own process too, on the whole batch, and compares.
"""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from fastssl.methods import METHODS
from fastssl.methods.gather import gather, mean_over_ranks, rank, sum_over_ranks, world_size
from fastssl.methods.sync_bn import sync_batch_norm
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.telemetry.clock import Clock
from fastssl.train.checkpoint import Position, Trainable, load_checkpoint, read_checkpoint, save_checkpoint
from fastssl.train.loop import train
from fastssl.train.ranks import agreed, average, on_first
from fastssl.types import DatasetInfo, MethodOutput

NUM_SAMPLES, DIM, BATCH = 32, 16, 8
SMALL = {  # heads of thousands of outputs, cut to the size of the toy
    "dino": {"num_outputs": 64, "projector_hidden": 32, "projector_dim": 16, "projector_bn": True},
    "dissl": {"num_outputs": 64, "teacher_hidden": 32, "head_rank": 16},
    "swav": {"num_prototypes": 24, "projector_hidden": 32, "projector_dim": 16},
}
VARIANTS = {
    "simclr with few negatives": {"num_negatives": 3},
    "barlow_twins of pairs": {"multiview": "pairwise", "standardise": "joint"},
    "vicreg per view": {"per_view_bn": True},
    "diet sharded": {"sharded": True},
}
"""Options under which what is gathered, or how, is not what it is by default."""
INFO = DatasetInfo("toy", "train", "fingerprint", NUM_SAMPLES, 4, 8, 8, (0.5,) * 3, (0.2,) * 3)


def share(x):
    """This process's rows of a batch."""
    size = len(x) // world_size()
    return x[rank() * size : (rank() + 1) * size]


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gathers(folder):
    """Value and gradient of every primitive, of a loss that weighs what it got differently on each rank."""
    found = {}
    for name, call in {
        "gather 0": lambda x: gather(x),
        "gather 1": lambda x: gather(x, dim=1),
        "mean": mean_over_ranks,
        "sum": sum_over_ranks,
    }.items():
        x = randn(3, 2, seed=rank()).requires_grad_()
        value = call(x.T if name.endswith("1") else x)  # which is not contiguous
        loss = (value.square() * randn(*value.shape, seed=10 + rank())).sum()
        found[name] = (x.detach(), value.detach(), torch.autograd.grad(loss, x)[0])
    found["agreed"] = agreed(1.5 + rank(), 2.0)
    found["on_first"] = on_first(lambda: f"from {rank()}")
    return found


def sync_bn(folder):
    """Outputs, gradients and statistics of layers over the batch, after two steps and in evaluation."""
    found = {}
    for name, layer, shape in (
        ("1d", nn.BatchNorm1d(3), (BATCH, 3)),
        ("2d", nn.BatchNorm2d(3, momentum=None), (BATCH, 3, 5, 4)),
        ("plain", nn.BatchNorm2d(3, affine=False, track_running_stats=False), (BATCH, 3, 2, 2)),
    ):
        network = sync_batch_norm(nn.Sequential(layer), "cpu").double()
        for p, value in zip(network.parameters(), (randn(3, seed=4), randn(3, seed=5))):
            p.data = value
        steps = []
        for step in range(2):
            x = share(3 + 100 * step + randn(*shape, seed=step))
            x = x.to(memory_format=torch.channels_last if x.ndim == 4 else torch.preserve_format).requires_grad_()
            y = network(x)
            slopes = torch.autograd.grad((y * share(randn(*shape, seed=6))).sum(), (x, *network.parameters()))
            steps.append((y.detach(), slopes))
        found[name] = (steps, network.state_dict(), network.eval()(share(randn(*shape, seed=7))).detach())
    return found


def methods(folder):
    """Losses and state of every method over two steps of gradient descent, and the gradients of the first."""
    options = {kind: SMALL.get(kind, {}) for kind in METHODS} | VARIANTS
    return {name: _two_steps(name.split()[0], chosen) for name, chosen in options.items()}


def _two_steps(kind, options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, DIM, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    method = sync_batch_norm(METHODS[kind](**options).build(encoder, DIM, INFO), "cpu").double()
    hook = lambda name, *args: getattr(method, name, lambda *_: None)(*args)
    losses, first = [], {}
    for step in range(2):
        views = tuple(share(randn(BATCH, 3, 8, 8, seed=10 * step + v)) for v in range(3))
        index = torch.randperm(NUM_SAMPLES, generator=torch.Generator().manual_seed(step))[:BATCH]
        hook("on_step_start", step, step / 2)
        output = method(views, share(index), share(index % 4))
        output.loss.backward()
        output = average(method, output)
        grads = {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
        first = first or grads
        with torch.no_grad():
            for p in method.parameters():
                if p.grad is not None:
                    p -= 0.1 * p.grad
                    p.grad = None
        hook("on_step_end", step, step / 2)
        losses.append(output.loss.detach())
    own = {id(p) for p in getattr(method, "unreduced_parameters", tuple)()}
    names = [name for name, p in method.named_parameters() if id(p) in own]
    state = {name: value for name, value in method.state_dict().items() if isinstance(value, torch.Tensor)}
    return {"losses": torch.stack(losses), "gradients": first, "state": state, "own": names}


def cuda_sync_bn(folder):
    """What CUDA gets (torch's layer) and what a CPU gets, on one GPU that both processes share: gloo lets them."""
    found = []
    for device in ("cuda", "cpu"):
        layer = sync_batch_norm(nn.Sequential(nn.BatchNorm2d(3)), device).cuda()
        x = share(3 + randn(BATCH, 3, 5, 4)).float().cuda().requires_grad_()
        y = layer(x)
        (dx,) = torch.autograd.grad((y * share(randn(BATCH, 3, 5, 4, seed=6)).float().cuda()).sum(), x)
        found.append({"type": type(layer[0]).__name__, "y": y.detach().cpu(), "dx": dx.cpu(),
                      **{name: value.cpu() for name, value in layer.state_dict().items()}})  # fmt: skip
    return found


def averages(folder):
    """`average` of gradients of which one belongs to each rank, with a number that is none on rank 1 alone."""
    method = nn.ParameterDict({name: torch.zeros(2, 2) for name in ("shared", "own", "untouched")})
    method.unreduced_parameters = lambda: [method["own"]]
    found = []
    for bad in (0.0, float("inf") if rank() else 0.0):
        method["shared"].grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T + rank()
        method["own"].grad = torch.full((2, 2), 5.0 + rank() + bad)
        output = average(method, MethodOutput(torch.tensor(2.0 + rank()), {"log": torch.tensor(10.0 * rank())}))
        found.append((method["shared"].grad, method["own"].grad, output.loss, output.logs["log"]))
        assert method["untouched"].grad is None
    return found


def checkpoints(folder):
    """Saves a method of which a layer is split, then loads it over another: what came back."""

    class Split(nn.Linear):
        def unreduced_parameters(self):
            return [self.weight]

        def get_extra_state(self):
            return {"rank": rank()}

        def set_extra_state(self, state):
            assert state == {"rank": rank()}

    def trainable(seed):
        torch.manual_seed(seed)
        method = Split(2, 3 + rank())  # parts of different sizes
        method.bias = nn.Parameter(torch.randn(5))
        optimizer = torch.optim.AdamW(method.parameters())
        for p in method.parameters():
            p.grad = torch.randn(p.shape)
        optimizer.step()
        return Trainable(method, optimizer, torch.amp.GradScaler("cpu", enabled=False))

    saved, loaded, path = trainable(rank()), trainable(5), folder / "split.pt"
    save_checkpoint(path, "identity", saved, Position(step=7), Clock("cpu", world_size()))
    position = load_checkpoint(path, "identity", loaded, Clock("cpu", world_size()), torch.device("cpu"))
    return [(t.method.state_dict(), t.optimizer.state_dict()["state"]) for t in (saved, loaded)], position.step


def training(folder):
    """A run of two epochs on the dataset `tiny`."""
    result = train(tiny_recipe(sync_bn=world_size() > 1), runs_dir=folder / f"runs{world_size()}", say=lambda _: None)
    state = read_checkpoint(Path(result.directory) / "checkpoint.pt")["state"]["method"]
    return {"result": dataclasses.asdict(result), "state": state}


def tiny_recipe(**change):
    defaults = {
        "data": DataConfig(dataset="tiny", loader="resident"),
        "probe": ProbeConfig(probes=1, knn_k=5),
        "batch_size": 16,
        "epochs": 2,
        "precision": "fp32",
        "backend": "reference",
        "device": "cpu",
        "optim": OptimConfig(optimiser="sgd", lr=0.005),  # at higher rates, and with Adam, rounding grows
    }
    return dataclasses.replace(RECIPES["demo-simclr"](), **{**defaults, **change})


def on_two_ranks(folder: Path, *jobs: str) -> dict[str, list]:
    """What each of two processes found: {job: [of rank 0, of rank 1]}, for jobs of this file."""
    script = Path(__file__)
    env = os.environ | {"FASTSSL_BETONS": str(folder), "PYTHONPATH": str(script.parents[1]), "OMP_NUM_THREADS": "1"}
    command = lambda rank: [sys.executable, script, str(rank), folder, *jobs]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command(rank), env=env, **pipes) for rank in range(2)]
    try:
        said = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return {job: [torch.load(folder / f"{job}-{rank}.pt") for rank in range(2)] for job in jobs}


if __name__ == "__main__":
    number, folder, jobs = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=number, world_size=2)
    for job in jobs:
        torch.save(globals()[job](folder), folder / f"{job}-{number}.pt")
    dist.destroy_process_group()
