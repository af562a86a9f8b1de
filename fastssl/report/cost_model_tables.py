"""The cost model in tables: its constants, how well it tells what was measured, and which machine it asks for."""

import statistics
from dataclasses import dataclass

import polars as pl

from fastssl.report.cost_model import Constants, Point, fit
from fastssl.report.cost_tables import CostTable
from fastssl.report.cost_words import digits, percent
from fastssl.report.costs import row_of
from fastssl.report.feed_costs import MODEL_ONLY

DISK_BYTES_PER_S = {"SATA": 0.5e9, "NVMe": 3e9}
VIEWS, SIZE = 2, 224
H2D_BYTES_PER_S = 25e9
"""Of PCI Express 4.0 x 16, about."""


@dataclass(frozen=True)
class Machine:
    name: str
    cores: int
    gpus: int


MACHINES = (Machine("a workstation", 16, 1), Machine("a server", 64, 1), Machine("a node", 128, 8))


def growth_of(frame: pl.DataFrame) -> tuple[float, str]:
    """How many times more CPU time the same decoding takes on the most threads measured than on one, and where."""
    alone = {row["threads_requested"]: row for row in frame.iter_rows(named=True)
             if row["contestant"] == "decode" and row["outcome"] == "ok"}  # fmt: skip
    if 1 not in alone or len(alone) < 2:
        return 1.0, ""
    most = alone[max(alone)]
    grown = statistics.median(most["blocks"]) / statistics.median(alone[1]["blocks"])
    return grown, f"{most['threads']} threads of {most['device']}"


def model_tables(curves: pl.DataFrame, steps: pl.DataFrame | None, growth: tuple[float, str]) -> list[CostTable]:
    """Args: `curves` of `load_loaders` with one thread; `steps` of `load_steps` on a GPU, for what it asks for;
    `growth` of `growth_of`."""
    constants, points = fit(curves)
    row = curves.row(0, named=True)
    about = f"One core of {row['device']}, JPEGs of {row['image_bytes'] / 1e3:.0f} kB"
    tables = [_constants(constants, about), _errors(points, about)]
    wanted = _wanted(steps)
    return [*tables, _machines(constants, row["image_bytes"], wanted, growth)]


def _constants(constants: Constants, about: str) -> CostTable:
    rows = [
        (f"{views} x {size} px", *(f"{1e3 * part:.2f}" for part in constants.parts(views, size).values()),
         f"{1e3 * constants.seconds(views, size):.2f}")
        for views, size in ((1, 224), (2, 96), (2, 224), (4, 224), (8, 224), (8, 96))
    ]  # fmt: skip
    note = (
        f"{about}; CPU ms per source image. Fitted: one crop asks for {percent(constants.share)} of the image to be "
        f"decoded, a view costs {digits(1e6 * constants.per_view_s)} us and "
        f"{digits(1e9 * constants.per_pixel_s)} ns per pixel of it."
    )
    return CostTable(
        "Where the time of an image goes", ("views", *constants.parts(1, 1), "together"), tuple(rows), note
    )


def _errors(points: list[Point], about: str) -> CostTable:
    off = lambda seconds, point: "" if seconds is None else f"{seconds / point.measured_s - 1:+.1%}"
    rows = [
        (f"{point.views} x {point.size} px", f"{1e3 * point.measured_s:.2f}", off(point.fitted_s, point),
         off(point.predicted_s, point))
        for point in points
    ]  # fmt: skip
    note = f"{about}. The last column is by a fit to the other cases alone: what the model says of one it has not seen."
    return CostTable(
        "How well the model tells it", ("views", "measured, CPU ms", "fitted", "predicted"), tuple(rows), note
    )


def _wanted(steps: pl.DataFrame | None) -> dict[str, float]:
    """By network and GPU: images per second of the step alone, which is what a loader has to bring."""
    found = {}
    for case in steps.partition_by("case", "device", maintain_order=True) if steps is not None else []:
        row = row_of(case, MODEL_ONLY)
        if row and row["views"] == VIEWS and row["size"] == SIZE:
            found[f"{row['arch']} on {row['device']}"] = 1 / statistics.median(row["blocks"])
    return found


def _machines(
    constants: Constants, image_bytes: float, wanted: dict[str, float], growth: tuple[float, str]
) -> CostTable:
    """What each stage could bring, in images per second, and which is the first to be full."""
    seconds = growth[0] * constants.seconds(VIEWS, SIZE)
    rows = []
    for machine in MACHINES:
        limits = {"the cores": machine.cores / seconds}
        limits |= {f"a disk ({name})": speed / image_bytes for name, speed in DISK_BYTES_PER_S.items()}
        limits["the way to the GPUs"] = machine.gpus * H2D_BYTES_PER_S / (VIEWS * 3 * SIZE**2)
        gpus = "the GPU" if machine.gpus == 1 else "the GPUs"
        for network, need in wanted.items():
            full = {who: value for who, value in limits.items() if "SATA" not in who} | {gpus: machine.gpus * need}
            numbers = (f"{round(value, -2):,.0f}" for value in (*limits.values(), machine.gpus * need))
            name = f"{machine.name}: {machine.cores} cores, {machine.gpus} GPU{'s' * (machine.gpus > 1)}"
            rows.append((name, network, *numbers, min(full, key=lambda who: full[who]), f"{need * seconds:.1f}"))
    header = ("machine", "network", "the cores bring", *(f"{name} disk" for name in DISK_BYTES_PER_S),
              "the way to the GPUs", "the GPUs want", "full first (with NVMe)", "cores per GPU")  # fmt: skip
    disks = " and ".join(f"{speed / 1e9:g} GB/s for {name}" for name, speed in DISK_BYTES_PER_S.items())
    note = (
        f"Images per second, {VIEWS} views of {SIZE} px, of a set that does not fit in memory (in memory, no disk is "
        f"asked). Cores like the measured one, each taking {growth[0]:.2f} times as long when all of them work"
        f"{f' (as decoding does on {growth[1]})' if growth[1] else ''}. {disks}, and "
        f"{H2D_BYTES_PER_S / 1e9:g} GB/s to each GPU are taken for granted, not measured."
    )
    return CostTable("Which machine", header, tuple(rows), note, 2)
