"""Records of runs that never happened but look as if they had."""

import math

import numpy as np
import pytest

from fastssl.telemetry.records import append_record, new_record

# asymptote of ridge, share of the way from the floor after the whole budget, images per second, views per image
ARMS = {
    "simclr": (0.745, 3.2, 900, 2),
    "barlow_twins": (0.752, 2.4, 880, 2),
    "vicreg": (0.728, 2.2, 870, 2),
    "diet": (0.690, 2.8, 1750, 1),
    "supervised": (0.930, 4.0, 1800, 1),
}
FLOOR = 0.41


def point(method, seed=0, share=1.0, *, budget_s=30.0, probes=5, noise=0.0, recipe=None, **changes):
    """One evaluation point of a fake run; `changes` replaces blocks, or keys of a block given as a dictionary."""
    top, speed, rate, views = ARMS.get(method, (FLOOR, 1.0, 1000, 1))
    spent = budget_s * share * (1 + 0.01 * noise)
    images = 0 if method == "random" else int(rate * spent * (1 - 0.02 * seed))
    ridge = FLOOR + (top - FLOOR) * (1 - math.exp(-speed * share)) + 0.012 * noise
    step = max(1, images // 256)
    blocks = {
        "case": {
            "run": f"demo-{method}-{seed}", "name": f"demo-{method}", "method": method, "seed": seed,
            "epoch": images / 10_000, "step": step, "final": share == 1.0, "protocol": "ridge, single view; test split",
            "recipe": {
                "name": f"demo-{method}", "seed": seed, "views": views, "batch_size": 256,
                "data": {"dataset": "demo", "fraction": 1.0, "workers": 2}, **(recipe or {}),
            },
        },
        "clock": {
            "compile_s": 2.0, "data_s": 0.1 * spent, "train_s": 0.9 * spent, "eval_s": 7.0, "checkpoint_s": 0.1,
            "world_size": 1, "device": "cpu",
        },
        "budget": {
            "gpu_h": spent / 3600, "views": images * views, "images": images, "steps": step,
            "flops": None, "joules": None,
        },
        "metrics": {"ridge": ridge, "knn": ridge - 0.05 - 0.01 * len(method) / 6, "loss": 2.0},
        "dataset": {"id": "demo", "fingerprint": "ab12cd34"},
        "started_utc": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    for name, value in changes.items():
        blocks[name] = {**blocks[name], **value} if isinstance(value, dict) else value
    record = new_record(suite="train", scope=["decode", "augment", "train_step"], **blocks)
    return {**record, "device": {"kind": "cpu", "name": "AMD EPYC", "count": 1, "memory_bytes": 8 << 30},
            "host": {**record["host"], "cpu": "AMD EPYC", "cores": 2}}  # fmt: skip


def run(method, seed=0, probes=5, **options):
    """Every evaluation point of a fake run, in order."""
    noise = np.random.default_rng([seed, len(method)]).normal(0, 1, probes)
    if method == "random":
        return [point("random", seed, 1.0, noise=float(noise[0]), **options)]
    return [point(method, seed, (i + 1) / probes, noise=float(noise[i]), **options) for i in range(probes)]


def campaign(seeds=1, methods=(*ARMS, "random"), **options):
    return [record for method in methods for seed in range(seeds) for record in run(method, seed, **options)]


@pytest.fixture
def fake():
    """The functions `point`, `run` and `campaign` of this file."""

    class Fake:
        pass

    Fake.point, Fake.run, Fake.campaign = staticmethod(point), staticmethod(run), staticmethod(campaign)
    return Fake


@pytest.fixture
def write(tmp_path):
    """`write(records, name="records.jsonl")`: path of a file that holds them."""

    def to_file(records, name="records.jsonl"):
        for record in records:
            append_record(tmp_path / name, record)
        return tmp_path / name

    return to_file


@pytest.fixture
def feeds():
    """Six steady blocks of steps of a ResNet-50 on a GPU: 1,000 images/s alone, 98 % of it fed by `crops`."""
    shares = {"model only": 1.0, "crops": 0.98, "torchvision": 0.05, "nvjpeg": None}
    return [_feed(name, share) for name, share in shares.items()]


def _feed(name, share):
    samples = [1e-3 / share] * 6 if share else []
    facts = {
        "name": "resnet50-224", "contestant": name, "quick": False, "reason": "" if share else "no decoder",
        "regime": f"regime of {name}", "arch": "resnet50", "size": 224, "batch": 256, "views": 2, "precision": "bf16",
        "backend": "fused", "threads": 16, "threads_requested": 16, "steps_per_block": 10,
    }  # fmt: skip
    metrics = {"waited_share": 0.02} if share else {}
    if name == "model only":
        metrics |= {"step_flops": 100e12 * 0.256, "matrix_flops_per_s": 200e12, "copy_bytes_per_s": 4e12,
                    "h2d_bytes_per_s": 50e9, "augment_s": 2e-3, "forward_s": 30e-3, "loss_s": 1e-3,
                    "backward_s": 60e-3, "optimiser_s": 1e-3, "peak_bytes": 8e9}  # fmt: skip
    clock = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
             "device": "cpu"}  # fmt: skip
    record = new_record(
        suite="step", case=facts, scope=["train_step"], samples=samples, unit="s_per_image" if samples else "",
        outcome="ok" if share else "failed", clock=clock, metrics=metrics,
        budget={"gpu_h": None, "views": 512, "images": 256, "steps": 1, "flops": None, "joules": None},
        dataset={"id": "photographs", "fingerprint": "ab"},
    )  # fmt: skip
    return {**record, "device": {"kind": "cuda", "name": "NVIDIA H200", "count": 1, "memory_bytes": 141 << 30}}
