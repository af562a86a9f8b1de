"""Hugging Face datasets: an Arrow table of the same bytes, PIL images, torchvision's transforms."""

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import DataLoader

import datasets
from benchmarks.load.contestant import Task
from benchmarks.load.iterated import Iterated, made_once
from benchmarks.load.workers import pil_view


def write(home: Path, samples: list[tuple[str, int]]) -> None:
    columns = {
        "image": [{"bytes": Path(path).read_bytes(), "path": None} for path, _ in samples],
        "label": [label for _, label in samples],
    }
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(home))


def read_back(home: Path) -> Iterator[tuple[bytes, int]]:
    stored = datasets.load_from_disk(str(home)).cast_column("image", datasets.Image(decode=False))
    for row in stored:
        yield row["image"]["bytes"], row["label"]


class _Views:
    def __init__(self, task: Task) -> None:
        self.changes = [pil_view(spec) for spec in task.specs]

    def __call__(self, rows: dict) -> dict:
        images = [image.convert("RGB") for image in rows["image"]]
        return {"views": [[change(image) for change in self.changes] for image in images], "label": rows["label"]}


def open_contestant(name: str, task: Task) -> Iterated:
    dataset = datasets.load_from_disk(str(made_once(task, "arrow", write))).with_transform(_Views(task))
    loader = DataLoader(
        dataset, batch_size=task.batch, shuffle=True, drop_last=True, num_workers=task.threads,
        persistent_workers=True, prefetch_factor=2,
    )  # fmt: skip

    def batches(epoch: int):
        for batch in loader:
            yield batch["views"], batch["label"]

    regime = (
        "Arrow table of the same bytes with datasets.Image, with_transform: RandomResizedCrop, RandomHorizontalFlip "
        "and PILToTensor on PIL images, each decoded once; DataLoader, four batches ahead"
    )
    return Iterated(task, regime, batches, antialiased=True)
