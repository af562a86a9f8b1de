"""What runs cost in money and in kilowatt-hours, where a rate is given and the joules were read. Nothing is assumed."""

from dataclasses import dataclass

import polars as pl

from fastssl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the user pays."""

    per_compute_h: float | None = None
    """Of one device for one hour, evaluation and compilation included: they are paid for too."""
    per_kwh: float | None = None
    """Of electricity; on top of the other."""
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name, value in (("price_per_gpu_h", self.per_compute_h), ("price_per_kwh", self.per_kwh)):
            if value is not None and not 0 <= value < float("inf"):
                raise InputError(f"{name}={value} is no price; give 0 or more")


def with_price(frame: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """The frame of `load_runs` with `energy_kwh` (of training; null where no meter was read) and `price`.

    `price` is of the whole run: wall time (where it was recorded, else train, data, eval and compile together) times
    devices times the hourly rate, plus the energy times its own. Null when no rate is given, or a rate is given for
    what was not read.
    """
    wall_s = pl.coalesce("wall_s", pl.sum_horizontal("train_s", "data_s", "eval_s", "compile_s"))
    kwh = pl.col("joules") / 3.6e6
    parts = []
    if rates.per_compute_h is not None:
        parts.append(wall_s * pl.col("world_size") / 3600 * rates.per_compute_h)
    if rates.per_kwh is not None:
        parts.append(kwh * rates.per_kwh)
    price = pl.lit(None, pl.Float64)
    for i, part in enumerate(parts):
        price = part if i == 0 else price + part
    return frame.with_columns(energy_kwh=kwh, price=price)
