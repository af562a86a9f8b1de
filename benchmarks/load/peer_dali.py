"""DALI on the CPU: its own reader, decoder and crops."""

from collections.abc import Iterator

import numpy as np
from nvidia.dali import fn, pipeline_def, types

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import Iterated, files


def open_contestant(name: str, task: Task) -> Iterated:
    samples = files(task)

    @pipeline_def(batch_size=task.batch, num_threads=task.threads, device_id=None, seed=task.seed + 1)
    def views():
        payload, label = fn.readers.file(
            files=[path for path, _ in samples], labels=[label for _, label in samples], random_shuffle=True,
            initial_fill=len(samples), shuffle_after_epoch=False,
        )  # fmt: skip
        image = fn.decoders.image(payload, device="cpu", output_type=types.RGB)
        made = []
        for spec in task.specs:
            crop = fn.random_resized_crop(
                image, size=[spec.size, spec.size], random_area=list(spec.crop_scale or (1.0, 1.0)),
                random_aspect_ratio=list(spec.crop_ratio), interp_type=types.INTERP_LINEAR, antialias=False,
            )  # fmt: skip
            made.append(fn.flip(crop, horizontal=fn.random.coin_flip(probability=spec.flip_p)))
        return (*made, label)

    pipeline = views(prefetch_queue_depth=2)
    pipeline.build()

    def batches(epoch: int) -> Iterator:
        for _ in range(len(samples) // task.batch):
            *made, label = pipeline.run()
            yield [np.asarray(view.as_tensor()) for view in made], np.asarray(label.as_tensor())[:, 0]

    regime = (
        "fn.readers.file (all of the set in its shuffling buffer), fn.decoders.image once, fn.random_resized_crop "
        "(INTERP_LINEAR, not antialiased: half the time), fn.flip; CPU pipeline, two batches ahead"
    )
    return Iterated(task, regime, batches, threads=lambda: pipeline.num_threads)
