"""LitData: chunks of the same bytes, streamed from the disk by worker processes."""

from collections.abc import Iterator
from pathlib import Path

import litdata

from benchmarks.load.cases import THREADS
from benchmarks.load.contestant import Task
from benchmarks.load.iterated import DecodeAndCut, Iterated, collated, made_once


def _read(sample: tuple[str, int]) -> tuple[bytes, int]:
    return Path(sample[0]).read_bytes(), sample[1]


def write(home: Path, samples: list[tuple[str, int]]) -> None:
    litdata.optimize(
        _read, samples, str(home), chunk_bytes="16MB", num_workers=THREADS, start_method="fork", verbose=False,
        keep_data_ordered=True,
    )  # fmt: skip


def read_back(home: Path) -> Iterator[tuple[bytes, int]]:
    stored = litdata.StreamingDataset(str(home), shuffle=False)
    yield from (stored[place] for place in range(len(stored)))


class _Views(litdata.StreamingDataset):
    work: DecodeAndCut

    def __getitem__(self, index):
        payload, label = super().__getitem__(index)
        return self.work(payload), label


def open_contestant(name: str, task: Task) -> Iterated:
    dataset = _Views(str(made_once(task, "litdata", write)), shuffle=True, drop_last=True, seed=task.seed)
    dataset.work = DecodeAndCut(task.specs, task.seed)
    loader = litdata.StreamingDataLoader(
        dataset, batch_size=task.batch, num_workers=task.threads, prefetch_factor=2, collate_fn=collated,
        persistent_workers=True,
    )  # fmt: skip
    regime = (
        "chunks of 16 MB of the same bytes (litdata.optimize), StreamingDataset(shuffle=True); each image decoded once "
        "by simplejpeg, crops by cv2 (INTER_LINEAR); StreamingDataLoader, four batches ahead"
    )
    return Iterated(task, regime, lambda epoch: loader)
