"""Grain: a MapDataset over the files, read by a pool of threads."""

from pathlib import Path

import grain
import numpy as np

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import DecodeAndCut, Iterated, files


def open_contestant(name: str, task: Task) -> Iterated:
    samples, work = files(task), DecodeAndCut(task.specs, task.seed)

    def views(sample: tuple[str, int]) -> tuple[tuple[np.ndarray, ...], int]:
        return tuple(work(Path(sample[0]).read_bytes())), sample[1]

    def batches(epoch: int):
        # a batch is an element, so its images are made by one thread: they go through the pool image by image
        dataset = grain.MapDataset.source(samples).seed(task.seed + epoch).shuffle().map(views)
        options = grain.ReadOptions(num_threads=task.threads, prefetch_buffer_size=3 * task.batch)
        yield from dataset.to_iter_dataset(options).batch(task.batch, drop_remainder=True)

    regime = (
        "MapDataset over the files, shuffle, map: each image read and decoded once by simplejpeg, crops by cv2 "
        "(INTER_LINEAR), in its pool of threads, batched behind it; three batches ahead"
    )
    return Iterated(task, regime, batches, threads=lambda: task.threads)
