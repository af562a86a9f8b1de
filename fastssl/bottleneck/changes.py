"""Changes to the data path, each measured as it would be: a file written otherwise, more threads, decoding at a smaller
scale, another loader."""

from collections.abc import Iterator

import numpy as np

from fastssl.bottleneck.advice import Change
from fastssl.bottleneck.decoding import Decoding, measure_decoding, measure_reading
from fastssl.bottleneck.pipeline import Cost
from fastssl.bottleneck.stages import IN_MEMORY, Measured, decoding_stages, stages_of
from fastssl.bottleneck.stored import Stored, written_otherwise
from fastssl.bottleneck.subject import Subject
from fastssl.data.memory import free_bytes
from fastssl.data.options import WriteOptions
from fastssl.telemetry.environment import usable_cores
from fastssl.types import Draw

REWRITTEN = 64
"""Samples encoded anew to see what another file would cost."""
SIDE_PER_VIEW = 256 / 224
"""Stored side per side of the view: what the field stores ImageNet at, for views of 224 px."""
_MB = 1e6


def loader_changes(subject: Subject, measured: Measured, seconds: float) -> Iterator[Change]:
    """Those that make sense for the run's loader, this file and this machine; each is measured when it is asked for."""
    if subject.kind not in IN_MEMORY:
        for options in _other_files(subject):
            yield _rewritten(subject, measured, options, seconds)
        if usable_cores() > subject.workers:
            yield _more_threads(subject, measured, seconds)
        if subject.kind == "crops" and subject.stored.is_jpeg and not subject.recipe.data.scaled_decode:
            yield _scaled(subject, measured, seconds)
    for kind in measured.loaders:
        if kind not in (subject.kind, "ffcv"):
            yield _loader(subject, measured, kind)


def _other_files(subject: Subject) -> Iterator[WriteOptions]:
    """JPEGs and raw pixels at the resolution the views need, where the file's differs."""
    longer = int(subject.stored.sizes.max())
    side = round(SIDE_PER_VIEW * max(spec.size for spec in subject.recipe.drawer.specs))
    smaller = side if side < 0.9 * longer else None
    if smaller:
        yield WriteOptions(mode="jpg", max_side=smaller)
    if smaller or subject.stored.is_jpeg:
        yield WriteOptions(mode="raw", max_side=smaller)


def _words(options: WriteOptions) -> str:
    """The flags of `fastssl beton write`."""
    side = f" --max-side {options.max_side}" if options.max_side else ""
    return f"write the file with --mode {options.mode}{side}"


def _rewritten(subject: Subject, measured: Measured, options: WriteOptions, seconds: float) -> Change:
    positions = subject.positions[:: max(1, len(subject.positions) // REWRITTEN)]
    stored = written_otherwise(subject.served.beton, positions, options, subject.workers)
    draw = stored.draw(subject.recipe.drawer)
    decoding = measure_decoding(stored, draw, subject.workers, seconds, scaled=subject.recipe.data.scaled_decode)
    stages = decoding_stages(subject.kind, measured, decoding, _reading_of(stored, subject, measured, seconds))
    before, after = _work(subject, measured.decoding), _work(subject, decoding)
    size = stored.bytes_per_image * subject.served.info.num_samples / _MB
    evidence = (f"{len(stored)} images encoded so: {1e3 * before:.3f} -> {1e3 * after:.3f} ms of CPU per image; "
                f"the file {_file_mb(subject):,.0f} -> {size:,.0f} MB; views enlarged from a smaller crop "
                f"{enlarged(subject.stored.draw(subject.recipe.drawer)):.0%} -> {enlarged(draw):.0%}")  # fmt: skip
    return Change(_words(options), stages, evidence)


def enlarged(draw: Draw) -> float:
    """Share of the views, 0 to 1, whose crop is smaller than they are in some direction: detail that is made up."""
    views = zip(draw.params, draw.specs, strict=True)
    return float(np.mean([(params.crop[:, 2:].numpy() < spec.size).any(axis=1).mean() for params, spec in views]))


def _reading_of(stored: Stored, subject: Subject, measured: Measured, seconds: float) -> Cost:
    """From memory as measured; from the disk at the bytes per second it gave."""
    if not measured.from_disk:
        return measure_reading(stored, subject.workers, seconds / 2).again
    part = stored.bytes_per_image / measured.reading.bytes_per_image
    return Cost(part * measured.reading.first.wall_s, part * measured.reading.first.cpu_s)


def _work(subject: Subject, decoding: Decoding) -> float:
    """Seconds of CPU per image of what the loader decodes."""
    cost = {"crops": decoding.crops, "ffcv": decoding.whole}.get(subject.kind, decoding.region)
    return cost.cpu_s


def _file_mb(subject: Subject) -> float:
    return float(subject.served.beton.payload_sizes[subject.served.source].sum()) / _MB


def _more_threads(subject: Subject, measured: Measured, seconds: float) -> Change:
    cores, stored = usable_cores(), subject.stored
    draw = stored.draw(subject.recipe.drawer)
    decoding = measure_decoding(stored, draw, cores, seconds, scaled=subject.recipe.data.scaled_decode)
    read = measured.read if measured.from_disk else measure_reading(stored, cores, seconds / 2).again
    times = measured.decoding.crops.wall_s / decoding.crops.wall_s
    evidence = f"{subject.workers} of {cores} cores decode now; {cores} threads decoded {times:.1f} times as fast"
    return Change(f"--workers {cores}", decoding_stages(subject.kind, measured, decoding, read), evidence, cores)


def _scaled(subject: Subject, measured: Measured, seconds: float) -> Change:
    draw = subject.stored.draw(subject.recipe.drawer)
    decoding = measure_decoding(subject.stored, draw, subject.workers, seconds, scaled=True)
    before, after = _work(subject, measured.decoding), _work(subject, decoding)
    evidence = (f"{1e3 * before:.3f} -> {1e3 * after:.3f} ms of CPU per image; "
                "pixels are then no longer those of a whole decode")  # fmt: skip
    return Change("--scaled-decode", decoding_stages("crops", measured, decoding), evidence)


def _loader(subject: Subject, measured: Measured, kind: str) -> Change:
    """Another loader, its stages as measured for it."""
    rate = 1.0 / measured.loaders[kind].cost.wall_s
    evidence = f"it alone served {rate:,.0f} images/s"
    if kind == "resident":
        needed, free = subject.served.decoded_bytes / 1e9, free_bytes(subject.device) / 1e9
        evidence += f"; needs {needed:.2f} GB on {subject.device.type}, {free:.1f} GB are free"
    return Change(f"--loader {kind}", stages_of(kind, measured), evidence)
