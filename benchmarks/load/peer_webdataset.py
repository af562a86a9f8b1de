"""WebDataset: tar shards, shuffled in their order and through a buffer, read by worker processes."""

from collections.abc import Iterator
from pathlib import Path

import webdataset as wds

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import DecodeAndCut, Iterated, collated, made_once

SHARDS = 8


def write(home: Path, samples: list[tuple[str, int]]) -> None:
    home.mkdir(parents=True)
    for shard in range(SHARDS):
        with wds.TarWriter(str(home / f"{shard:02d}.tar")) as tar:
            for number, (path, label) in list(enumerate(samples))[shard::SHARDS]:
                tar.write({"__key__": f"{number:06d}", "jpg": Path(path).read_bytes(), "cls": label})


def read_back(home: Path) -> Iterator[tuple[bytes, int]]:
    for sample in wds.WebDataset([str(path) for path in sorted(home.glob("*.tar"))], shardshuffle=False):
        yield sample["jpg"], int(sample["cls"])


def open_contestant(name: str, task: Task) -> Iterated:
    home, work = made_once(task, "wds", write), DecodeAndCut(task.specs, task.seed)
    shards = [str(path) for path in sorted(home.glob("*.tar"))]
    pipeline = (
        wds.WebDataset(shards, shardshuffle=SHARDS, seed=task.seed)
        .shuffle(1_000)
        .map(lambda sample: (work(sample["jpg"]), int(sample["cls"])))
        .batched(task.batch, collation_fn=collated, partial=False)
    )
    loader = wds.WebLoader(
        pipeline, batch_size=None, num_workers=task.threads, persistent_workers=True, prefetch_factor=2
    )
    regime = (
        "eight tar shards of the same bytes, shuffled, then through a buffer of 1,000; each image decoded once by "
        "simplejpeg, crops by cv2 (INTER_LINEAR); batches made in WebLoader's workers, four ahead"
    )
    return Iterated(task, regime, lambda epoch: loader)
