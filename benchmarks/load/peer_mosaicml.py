"""MosaicML Streaming: MDS shards on the local disk, read by worker processes."""

from collections.abc import Iterator
from pathlib import Path

from streaming import MDSWriter, StreamingDataset
from torch.utils.data import DataLoader

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import DecodeAndCut, Iterated, collated, made_once


def write(home: Path, samples: list[tuple[str, int]]) -> None:
    with MDSWriter(out=str(home), columns={"image": "bytes", "label": "int"}) as out:
        for path, label in samples:
            out.write({"image": Path(path).read_bytes(), "label": label})


def read_back(home: Path) -> Iterator[tuple[bytes, int]]:
    stored = StreamingDataset(local=str(home), shuffle=False, batch_size=1)
    for place in range(len(stored)):
        yield stored[place]["image"], stored[place]["label"]


class _Views(StreamingDataset):
    work: DecodeAndCut

    def __getitem__(self, at):
        sample = super().__getitem__(at)
        return self.work(sample["image"]), sample["label"]


def open_contestant(name: str, task: Task) -> Iterated:
    home = made_once(task, "mds", write)
    dataset = _Views(local=str(home), shuffle=True, batch_size=task.batch, shuffle_seed=task.seed)
    dataset.work = DecodeAndCut(task.specs, task.seed)
    loader = DataLoader(
        dataset, batch_size=task.batch, num_workers=task.threads, prefetch_factor=2, collate_fn=collated,
        persistent_workers=True, drop_last=True,
    )  # fmt: skip
    regime = (
        "MDS shards of the same bytes, StreamingDataset(shuffle=True) without a remote; each image decoded once by "
        "simplejpeg, crops by cv2 (INTER_LINEAR); DataLoader, four batches ahead"
    )
    return Iterated(task, regime, lambda epoch: loader)
