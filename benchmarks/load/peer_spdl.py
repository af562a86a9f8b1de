"""SPDL: a pipeline of threads over the files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from spdl.pipeline import PipelineBuilder

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import DecodeAndCut, Iterated, collated, files


def open_contestant(name: str, task: Task) -> Iterated:
    samples, work = files(task), DecodeAndCut(task.specs, task.seed)

    def views(position: int) -> tuple[list[np.ndarray], int]:
        path, label = samples[position]
        return work(Path(path).read_bytes()), label

    def batches(epoch: int) -> Iterator:
        order = np.random.default_rng([task.seed, epoch]).permutation(len(samples))
        pipeline = (
            PipelineBuilder()
            .add_source(order.tolist())
            .pipe(views, concurrency=task.threads)
            .aggregate(task.batch, drop_last=True)
            .pipe(collated)
            .add_sink(3)
            .build(num_threads=task.threads)
        )
        with pipeline.auto_stop():
            yield from pipeline

    regime = (
        "spdl.pipeline over the files: each image read and decoded once by simplejpeg, crops by cv2 (INTER_LINEAR), "
        "in a pool of threads; three batches ahead; a pipeline per epoch, as they cannot be begun again"
    )
    return Iterated(task, regime, batches, threads=lambda: task.threads)
