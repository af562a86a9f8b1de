"""Times the probes and the pass of features beside their ceilings and beside scikit-learn, in one process, in blocks.

python -m benchmarks.bench_probes --records results/probes/MACHINE/NAME.jsonl      some eight minutes on two cores
python -m benchmarks.bench_probes --quick                                          a look, half a minute

50,000 training and 10,000 test features of 512 columns and 10 classes: Gaussian classes in directions of falling
variance, cut at 0, a tenth of the labels wrong. Features: 60,000 images of 32 px through the nano net. Wall seconds;
each block times everyone once. scikit-learn fits one penalty where ours fits twelve, and says so in its regime.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F

from fastssl.augment import Drawer, get_backend, make_views
from fastssl.data.arrays import array_source
from fastssl.data.open import open_loader
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.evals import Features, extract, few_labels
from fastssl.evals.knn import CHUNK_SIMILARITIES, KS, knn_sweep
from fastssl.evals.logistic import CHUNK_ROWS, PENALTIES, fit_logistic
from fastssl.evals.mlp import mlp
from fastssl.evals.ridge import held_out, ridge
from fastssl.recipe import ModelConfig
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import append_record, new_record
from fastssl.types import Loader
from fastssl.views import ViewSpec


@dataclass(frozen=True)
class Contestant:
    """Someone who does a case's work, or a bound of it."""

    case: str
    name: str
    """`ours`, `ceiling`, or a peer."""
    regime: str
    run: Callable[[], object]


def features(rows: int, dim: int, classes: int = 10) -> Features:
    """`rows` for training and a fifth as many for testing."""
    generator = torch.Generator().manual_seed(0)
    total = rows + rows // 5
    y = torch.arange(total) % classes
    scale = torch.arange(1, dim + 1.0) ** -0.5
    x = 0.35 * torch.randn(classes, dim, generator=generator)[y] + torch.randn(total, dim, generator=generator)
    x = (x * scale @ torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0]).relu()
    wrong = torch.rand(total, generator=generator) < 0.1
    y = torch.where(wrong, (y + 1) % classes, y)
    return Features(x[:rows], y[:rows], x[rows:], y[rows:], classes)


def of_features(f: Features) -> Iterator[Contestant]:
    held = held_out(f.train_y)
    x, y = f.train_x[~held], f.train_y[~held]
    steps = []

    def sweep() -> None:
        steps.append(fit_logistic(x, y, f.num_classes, PENALTIES).num_steps)

    def logistic_matmuls() -> None:
        stacked = torch.zeros(x.shape[1], len(PENALTIES) * f.num_classes)
        for _ in range(steps[-1]):
            for rows in x.split(CHUNK_ROWS):
                rows.T @ (rows @ stacked)

    def nearest() -> None:
        bank = F.normalize(f.train_x, dim=1)
        for rows in F.normalize(f.test_x, dim=1).split(max(1, CHUNK_SIMILARITIES // len(bank))):
            (rows @ bank.T).topk(max(KS), dim=1)

    def gram() -> None:
        for part in (x, f.train_x):  # once to choose the penalty, once to fit
            for rows in part.split(16384):
                rows.double().T @ rows.double()

    train = f.train_x.numpy(), f.train_y.numpy()
    scaled = ((f.train_x - f.train_x.mean(0)) / f.train_x.std(0).clamp_min(1e-6)).numpy()
    test = f.test_x.numpy()
    few = f"1 % and 10 % of labels, 5 draws, ridge with leave-one-out over {len(f.train_y):,}"
    yield Contestant("knn", "ours", f"k {KS} in one pass", lambda: dict(knn_sweep(f)))
    yield Contestant("knn", "ceiling", f"the same products and top {max(KS)}, no votes", nearest)
    votes = lambda distance: np.exp((1 - distance) / 0.07)
    neighbours = KNeighborsClassifier(20, metric="cosine", algorithm="brute", weights=votes)
    yield Contestant("knn", "scikit-learn", "KNeighborsClassifier, brute, cosine, k 20 alone",
                     lambda: neighbours.fit(*train).predict(test))  # fmt: skip
    yield Contestant("logistic", "ours", f"{len(PENALTIES)} penalties on nine tenths", sweep)
    yield Contestant("logistic", "ceiling", "the matrix products of as many steps", logistic_matmuls)
    yield Contestant("logistic", "scikit-learn", "LogisticRegression, lbfgs, one penalty (1e-2), all rows",
                     lambda: LogisticRegression(C=100 / len(scaled), max_iter=500).fit(scaled, train[1]))  # fmt: skip
    yield Contestant("ridge", "ours", "penalty of 10 chosen, refitted, scored", lambda: dict(ridge(f)))
    yield Contestant("ridge", "ceiling", "the two Gram products in float64", gram)
    yield Contestant("ridge", "scikit-learn", "RidgeClassifier, one penalty, scored",
                     lambda: RidgeClassifier(1.0).fit(*train).score(test, f.test_y.numpy()))  # fmt: skip
    yield Contestant("few-labels", "ours", few, lambda: few_labels(f, [0.01, 0.1]))
    yield Contestant("mlp", "ours", "6 candidates side by side on nine tenths, one on all", lambda: dict(mlp(f)))


def write_images(count: int, folder: Path) -> Path:
    """A beton of so many images of 32 px, of no picture."""
    pixels = (np.arange(count * 3072, dtype=np.uint32) * np.uint32(2654435761) >> 24).astype(np.uint8)
    source = array_source(pixels.reshape(count, 32, 32, 3), np.arange(count) % 10, name="images")
    write_beton(source, folder / "images-train.beton", WriteOptions(mode="raw"))
    return folder / "images-train.beton"


def of_images(path: Path, count: int) -> Iterator[Contestant]:
    """The pass of features as a probe makes it, beside the encoder alone on views that lie in memory."""
    spec = ViewSpec.plain(32, 1.0)
    normed = spec.with_statistics((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    encoder, _ = ModelConfig(arch="nano").build(32)
    encoder.to(memory_format=torch.channels_last).eval()  # pyright: ignore
    backend, dtype = get_backend("auto", torch.device("cpu")), torch.float32
    prepare = lambda batch: make_views(batch, (normed,), backend, seed=0, epoch=0, dtype=dtype)[0]

    def opened() -> Loader:
        drawer = Drawer((spec,), seed=0)
        return open_loader("resident", path, batch_size=500, order="sequential", drop_last=False, views=drawer)

    with closing(opened()) as first:
        views = prepare(next(first.epoch(0)))

    def whole() -> None:
        with closing(opened()) as loader:
            extract(encoder, loader, prepare, dtype)

    def alone() -> None:
        with torch.inference_mode():
            for _ in range(-(-count // 500)):
                encoder(views)

    regime = "resident loader, opened anew, plain views, nano net, float32, batches of 500"
    yield Contestant("features", "ours", regime, whole)
    yield Contestant("features", "ceiling", "the encoder alone on as many batches of one that lies ready", alone)


def measure(contestants: Iterator[Contestant], blocks: int, size: dict[str, Any], records: Path) -> None:
    for case, group in _by_case(contestants):
        samples: dict[str, list[float]] = {one.name: [] for one in group}
        for block in range(blocks + 1):  # the first one warms up
            for one in group:
                if block == 0 and one.name not in ("ours", "ceiling"):
                    continue
                began = time.perf_counter()
                one.run()
                if block:
                    samples[one.name].append(time.perf_counter() - began)
        for one in group:
            append_record(records, _record(one, samples[one.name], size))
            print(f"{case:11} {one.name:13} {min(samples[one.name]):8.2f} s", file=sys.stderr, flush=True)


def _by_case(contestants: Iterator[Contestant]) -> Iterator[tuple[str, list[Contestant]]]:
    found: dict[str, list[Contestant]] = {}
    for one in contestants:
        found.setdefault(one.case, []).append(one)
    yield from found.items()


def _record(one: Contestant, samples: list[float], size: dict[str, Any]) -> dict[str, Any]:
    threads = torch.get_num_threads()
    return new_record(
        suite="probes",
        case={"name": one.case, "contestant": one.name, "regime": one.regime, "threads": threads, **size},
        scope=[],
        clock=Clock("cpu").record(),
        budget=dict.fromkeys(("gpu_h", "views", "images", "steps", "flops", "joules")),
        metrics={},
        dataset={},
        samples=samples,
        unit="s",
        warmup=1 if one.name in ("ours", "ceiling") else 0,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_probes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, two blocks")
    parser.add_argument("--rows", type=int, help="training features; 50,000 by default")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/probes.jsonl"), help="appended to")
    options = parser.parse_args()
    rows = options.rows or (5_000 if options.quick else 50_000)
    if rows < 1000:
        parser.error(f"--rows {rows}: give 1000 or more")
    size = {"rows": rows, "tested": rows // 5, "dim": 512, "classes": 10, "images": rows * 6 // 5}
    size["quick"] = options.quick
    blocks = 2 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        images = write_images(size["images"], Path(folder))
        measure(of_images(images, size["images"]), blocks, size, options.records)
    measure(of_features(features(rows, size["dim"])), blocks, size, options.records)
    print(f"wrote {options.records}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
