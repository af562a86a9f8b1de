"""From what was measured to the six stages of a run with each loader: who pays for what. Arithmetic alone."""

from dataclasses import dataclass, field

from fastssl.bottleneck.decoding import Decoding, Reading
from fastssl.bottleneck.pipeline import NOTHING, Cost, Stage
from fastssl.bottleneck.training import Flow

IN_MEMORY = ("resident", "nvjpeg")
"""Loaders that hold the whole set, as pixels or as the bytes that a GPU decodes."""


@dataclass(frozen=True)
class Measured:
    """Costs per image, each measured alone."""

    reading: Reading
    from_disk: bool
    """Whether later epochs read from the disk, too: the file was not in memory, and does not fit there."""
    decoding: Decoding
    """With the run's loader threads."""
    decoding_alone: Decoding
    """With one thread."""
    augment: Cost
    """Of views cut before."""
    cut_and_augment: Cost
    """Of whole images, by the augmentation backend."""
    copy_crops: Cost
    copy_images: Cost
    step: Cost
    loaders: dict[str, Flow] = field(default_factory=dict)
    """Whole loaders, by kind."""

    @property
    def read(self) -> Cost:
        return self.reading.first if self.from_disk else self.reading.again


def stages_of(kind: str, measured: Measured) -> tuple[Stage, ...]:
    """The stages of a run whose loader is of that kind."""
    in_memory = kind in IN_MEMORY
    data = memory_stages(kind, measured) if in_memory else decoding_stages(kind, measured, measured.decoding)
    copied = measured.copy_crops if kind == "crops" else measured.copy_images
    note = "from pinned memory" if copied != NOTHING else "CPU: no copy"
    if in_memory:
        copied, note = NOTHING, f"{kind}: no copy"
    return (
        *data,
        Stage("augment", measured.augment, "trainer", "after the crop"),
        Stage("host-to-device", copied, "copy", note),
        Stage("step", measured.step, "trainer", "forward to update"),
    )


def decoding_stages(kind: str, measured: Measured, decoding: Decoding, read: Cost | None = None) -> tuple[Stage, ...]:
    """Read, decode and resize of a loader that decodes every epoch.

    Each costs what it adds to the one before, so that together they cost what was measured together. Raw pixels are not
    decoded: what they cost beyond reading is resizing.
    """
    read = measured.read if read is None else read
    in_memory = NOTHING if measured.from_disk else read  # decoding was measured on bytes in memory, and takes them
    decoded = decoding.whole if kind == "ffcv" else decoding.region
    if kind == "crops":
        decoded = decoded.at_most(decoding.crops)  # decoding for crops can be cheaper than without them: at a scale
    decode = decoded.beyond(in_memory)
    what = "whole images" if kind == "ffcv" else "region of all crops"
    stages = (
        Stage("read", read, "loader", "from the page cache" if not measured.from_disk else "from the disk"),
        Stage("decode", decode, "loader", what),
    )
    if kind != "crops":
        cut = measured.cut_and_augment.beyond(measured.augment)
        return (*stages, Stage("resize", cut, "trainer", "by the backend"))
    before = Cost(max(decoded.wall_s, in_memory.wall_s), max(decoded.cpu_s, in_memory.cpu_s))
    return (*stages, Stage("resize", decoding.crops.beyond(before), "loader", "while decoding"))


def memory_stages(kind: str, measured: Measured) -> tuple[Stage, ...]:
    """Read, decode and resize of a set that lies in memory; its loader must be among those measured.

    Where a GPU decodes (`nvjpeg`), the whole loader is taken for decoding, at the step's expense.
    """
    served, cut = measured.loaders[kind].cost, measured.cut_and_augment.beyond(measured.augment)
    resize = Stage("resize", cut, "trainer", "by the backend")
    if kind == "nvjpeg":
        decode = Stage("decode", served, "trainer", "by the GPU")
        return (Stage("read", NOTHING, "loader", "bytes in memory"), decode, resize)
    gather = Stage("read", served, "trainer", "rows gathered")
    return (gather, Stage("decode", NOTHING, "loader", "before the run"), resize)


def loader_cost(stages: tuple[Stage, ...]) -> Cost:
    """Of the stages that the loader's threads work on, one after the other."""
    mine = [stage.cost for stage in stages if stage.resource == "loader"]
    return Cost(sum(cost.wall_s for cost in mine), sum(cost.cpu_s for cost in mine))
