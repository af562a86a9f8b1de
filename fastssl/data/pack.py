"""Any source to one .beton file: the same bytes for any number of threads, and never half a file.

FFCV's own writer hangs for ever when a worker raises, orders pages by the scheduler's whim and wants a dataset with
random access. Here threads decode, resize and encode (these release the GIL), a bounded number of samples is under
way, and one thread writes in order.
"""

import errno
import json
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fastssl import __version__
from fastssl.data.atomic import AtomicFile
from fastssl.data.beton_writer import BetonWriter
from fastssl.data.encode import Sample, Task, encode_samples
from fastssl.data.measured import Measured, count_classes
from fastssl.data.options import WriteOptions
from fastssl.data.paths import sidecar_path
from fastssl.data.source import Progress, Source, check_labels, take
from fastssl.data.subset import choose_jpg, subset_indices
from fastssl.errors import InputError
from fastssl.telemetry.environment import usable_cores

PROGRESS_EVERY = 256
_CHUNK_SAMPLES = 64
_CHUNK_BYTES = 4 << 20
"""A thread is handed this much at once: enough to hide the pool's cost per call, little enough to bound memory."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_beton(
    source: Source, out: str | Path, options: WriteOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Write `source` (the share `options.fraction` of it) to `out`, with its sidecar `<out>.json`.

    Gives back the sidecar's content and `path`, `samples`, `bytes` (of the file), `seconds` and `warnings`. On any
    error, interrupt or kill nothing is under the final name, and an earlier file there stays whole. Raises `InputError`
    for images that cannot be decoded, impossible labels and a full disk; what the source raises comes through.
    """
    options = options or WriteOptions()
    if options.val is not None:
        raise InputError(f"val={options.val} has no effect on a single file; call write_dataset, which writes both")
    check_labels(source.labels, source.info.class_names, source.info.name)
    if options.fraction < 1:
        source = take(source, subset_indices(source.labels, options.fraction, options.subset_seed))
    return write_selected(source, Path(out), options, progress)


def write_selected(source: Source, out: Path, options: WriteOptions, progress: Progress | None) -> dict[str, Any]:
    """`write_beton` of a source from which `fraction` and `val` have been taken already."""
    started_s = time.perf_counter()
    labels, measured = source.labels, Measured(source.labels)
    writer = BetonWriter(out, len(labels))
    sidecar_file = None
    try:
        for sample in _encode_all(source, options):
            label = int(labels[sample.index])
            writer.add(sample.index, label, sample.mode, sample.height, sample.width, sample.payload)
            measured.add(sample)
            if progress is not None and (writer.num_written % PROGRESS_EVERY == 0 or writer.num_written == len(labels)):
                progress(writer.num_written, len(labels))
        if writer.num_written != len(labels):
            raise InputError(f"{source.info.name} gave {writer.num_written} of {len(labels)} images; check the source")
        sidecar = _describe(source, options, measured)
        size_bytes, sidecar["tables_sha256"] = writer.finish(sidecar["fingerprint"])
        sidecar_file = AtomicFile(sidecar_path(out))
        sidecar_file.file.write(json.dumps(sidecar, indent=1).encode() + b"\n")
        sidecar_file.finish()
        sidecar_file.commit()
        writer.commit()
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise InputError(
                f"{out} does not fit on its disk ({error.strerror}); free space or write elsewhere"
            ) from error
        raise
    finally:
        writer.discard()
        if sidecar_file is not None:
            sidecar_file.discard()
    result = {"path": str(out), "samples": len(labels), "bytes": size_bytes, "seconds": time.perf_counter() - started_s}
    return {**sidecar, **result, "warnings": _summarise(measured.warnings)}


def _encode_all(source: Source, options: WriteOptions) -> Iterator[Sample]:
    """Every sample, encoded in threads, in the order of the source; the first error ends it."""
    num_threads = options.num_threads or usable_cores()
    pending: deque[Future[list[Sample]]] = deque()
    with ThreadPoolExecutor(num_threads, thread_name_prefix="beton") as pool:
        try:
            for tasks in _chunk_tasks(source, options):
                pending.append(pool.submit(encode_samples, tasks, options))
                if len(pending) > num_threads + 1:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _chunk_tasks(source: Source, options: WriteOptions) -> Iterator[list[Task]]:
    labels = source.labels
    as_jpg = choose_jpg(len(labels), options)
    tasks, size_bytes = [], 0
    seen = np.zeros(len(labels), dtype=bool)
    for item in source.read(np.arange(len(labels), dtype=np.int64)):
        assert not seen[item.position], f"{item.name} came twice"
        seen[item.position] = True
        tasks.append(Task(item.position, item, int(labels[item.position]), bool(as_jpg[item.position])))
        size_bytes += item.image.nbytes if isinstance(item.image, np.ndarray) else len(item.image)
        if len(tasks) == _CHUNK_SAMPLES or size_bytes > _CHUNK_BYTES:
            yield tasks
            tasks, size_bytes = [], 0
    if tasks:
        yield tasks


def _describe(source: Source, options: WriteOptions, measured: Measured) -> dict[str, Any]:
    """The sidecar: nothing in it depends on the run (no time, no thread count, no path)."""
    info, labels = source.info, source.labels
    names = info.class_names or tuple(str(label) for label in range(int(labels.max()) + 1))
    mean, std = measured.channel_statistics()
    stored_as = asdict(options)
    del stored_as["num_threads"]
    return {
        "format": 1,
        "name": info.name,
        "split": info.split,
        "fingerprint": measured.fingerprint(),
        "num_samples": len(labels),
        "num_classes": len(names),
        "class_names": list(names),
        "class_counts": count_classes(labels, len(names)),
        "num_unlabelled": int((labels < 0).sum()),
        **measured.size_range(),
        "mean": mean,
        "std": std,
        "options": stored_as,
        "duplicates": measured.duplicates(),
        "source": info.origin,
        "licence": info.licence,
        "versions": {"fastssl": __version__, **{name: version(name) for name in ("ffcv", "numpy", "pillow")}},
        "payload_bytes": int(measured.payload_sizes.sum()),
    }


def _summarise(warnings: list[str]) -> list[str]:
    if len(warnings) <= 1:
        return warnings
    return [f"{len(warnings)} files are damaged but could be read, first {warnings[0]}"]
