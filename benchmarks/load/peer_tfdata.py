"""tf.data: its own decoder, crops by torchvision's rule in TensorFlow's operations."""

import os
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

from benchmarks.load.contestant import Task
from benchmarks.load.draws import ATTEMPTS
from benchmarks.load.iterated import Iterated, files
from fastssl.views import ViewSpec

SHARDS = 8


def write(home: Path, samples: list[tuple[str, int]]) -> None:
    """TFRecord shards, for the benchmark of the writers; the loader below reads files."""
    home.mkdir(parents=True)
    for shard in range(SHARDS):
        with tf.io.TFRecordWriter(str(home / f"{shard:02d}.tfrecord")) as out:
            for path, label in samples[shard::SHARDS]:
                image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[Path(path).read_bytes()]))
                number = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
                features = tf.train.Features(feature={"image": image, "label": number})
                out.write(tf.train.Example(features=features).SerializeToString())


def read_back(home: Path) -> Iterator[tuple[bytes, int]]:
    for record in tf.data.TFRecordDataset([str(path) for path in sorted(home.glob("*.tfrecord"))]):
        found = tf.train.Example.FromString(record.numpy()).features.feature
        yield found["image"].bytes_list.value[0], found["label"].int64_list.value[0]


def open_contestant(name: str, task: Task) -> Iterated:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(task.threads)
    samples = files(task)

    def views(path: Any, label: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        return tuple(_view(image, spec) for spec in task.specs), label

    options = tf.data.Options()
    options.threading.private_threadpool_size = task.threads
    options.threading.max_intra_op_parallelism = 1
    dataset = (
        tf.data.Dataset.from_tensor_slices(([path for path, _ in samples], [label for _, label in samples]))
        .shuffle(len(samples), seed=task.seed, reshuffle_each_iteration=True)
        .map(views, num_parallel_calls=task.threads, deterministic=False)
        .batch(task.batch, drop_remainder=True)
        .prefetch(2)
        .with_options(options)
    )

    def batches(epoch: int) -> Iterator:
        for made, labels in dataset:
            yield [view.numpy() for view in made], labels.numpy()

    regime = (
        "decode_jpeg (accurate DCT) once, crops in TensorFlow's operations, tf.image.resize (bilinear, not "
        "antialiased), in a private pool of threads, order of the batch left free; two batches ahead"
    )
    return Iterated(task, regime, batches, threads=lambda: options.threading.private_threadpool_size)


def _view(image: Any, spec: ViewSpec) -> Any:
    """torchvision's rule: the first of ten draws that fits, else (of these shapes, hardly ever) the whole image."""
    assert spec.crop_scale is not None
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    area = tf.cast(height * width, tf.float32) * tf.random.uniform([ATTEMPTS], *spec.crop_scale)
    ratio = tf.exp(tf.random.uniform([ATTEMPTS], log(spec.crop_ratio[0]), log(spec.crop_ratio[1])))
    wide = tf.cast(tf.round(tf.sqrt(area * ratio)), tf.int32)
    tall = tf.cast(tf.round(tf.sqrt(area / ratio)), tf.int32)
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    first = tf.argmax(tf.cast(fits, tf.int32))
    tall, wide = tf.minimum(tall[first], height), tf.minimum(wide[first], width)
    top = tf.random.uniform([], 0, height - tall + 1, tf.int32)
    left = tf.random.uniform([], 0, width - wide + 1, tf.int32)
    window = tf.image.crop_to_bounding_box(image, top, left, tall, wide)
    made = tf.cast(tf.round(tf.image.resize(window, [spec.size, spec.size])), tf.uint8)
    return tf.cond(tf.random.uniform([]) < spec.flip_p, lambda: made[:, ::-1], lambda: made)
