"""What an image costs one core, in parts, fitted to a campaign: so that a machine can be planned before it is bought.

    seconds per image = entropy + inverse x (1 - (1 - u)^n) + n (per_view + per_pixel x s^2)

for n views of s x s pixels. `entropy` is reading the bytes and Huffman decoding, `inverse` the inverse transform and
colour conversion of the whole image: both are measured, by the ceilings. `u` is the share of an image that has to be
decoded for one crop (our loader decodes what its crops cover, once), `per_view` and `per_pixel` are cutting and
resizing: these three are fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import polars as pl

from fastssl.errors import InputError
from fastssl.report.loader_costs import OURS

SHARES = np.linspace(0.2, 1.0, 81)
"""Of `u`; the rest of the fit is linear."""
LEAST_CASES = 4
"""One more than what is fitted."""


@dataclass(frozen=True)
class Constants:
    """Seconds of one core."""

    entropy_s: float
    inverse_s: float
    share: float
    per_view_s: float
    per_pixel_s: float

    def parts(self, views: int, size: int) -> dict[str, float]:
        """Seconds per image by stage."""
        return {
            "read and Huffman": self.entropy_s,
            "inverse transform": self.inverse_s * decoded_share(self.share, views),
            "crop and resize": views * (self.per_view_s + self.per_pixel_s * size**2),
        }

    def seconds(self, views: int, size: int) -> float:
        return sum(self.parts(views, size).values())


@dataclass(frozen=True)
class Point:
    """One case: `predicted_s` is by a fit to the other cases alone."""

    views: int
    size: int
    measured_s: float
    fitted_s: float
    predicted_s: float | None


def decoded_share(share: float, views: int) -> float:
    """Of an image, if each crop asks for `share` of it, wherever."""
    return 1 - (1 - share) ** views


def fit(frame: pl.DataFrame) -> tuple[Constants, list[Point]]:
    """Of a campaign with one thread (`load_loaders`): the constants, and how well they tell each case.

    Errors: `InputError` where the campaign has fewer than four cases of JPEGs with one size of view, or no ceilings.
    """
    alone = frame.filter((pl.col("threads_requested") == 1) & (pl.col("outcome") == "ok") & (pl.col("mode") == "jpg"))
    cases = {}
    for row in alone.filter(pl.col("contestant") == OURS).iter_rows(named=True):
        if len(set(row["sizes"])) == 1:
            cases[len(row["sizes"]), row["sizes"][0]] = median(row["blocks"])
    entropy, decode = (_over_cases(alone, name) for name in ("huffman", "decode"))
    if len(cases) < LEAST_CASES or not entropy or not decode:
        raise InputError(f"cases={len(cases)} with one thread; the cost model needs {LEAST_CASES}, with both ceilings")
    measured = [(views, size, seconds) for (views, size), seconds in sorted(cases.items())]
    known = median(entropy), median(decode) - median(entropy)
    constants = _solve(measured, *known)
    points = []
    for place, (views, size, seconds) in enumerate(measured):
        others = measured[:place] + measured[place + 1 :]
        predicted = _solve(others, *known).seconds(views, size) if len(others) >= LEAST_CASES else None
        points.append(Point(views, size, seconds, constants.seconds(views, size), predicted))
    return constants, points


def can_fit(frame: pl.DataFrame) -> bool:
    try:
        fit(frame)
    except InputError:
        return False
    return True


def _over_cases(frame: pl.DataFrame, contestant: str) -> list[float]:
    """A ceiling's cost does not depend on the views, so all cases tell it."""
    return [median(blocks) for blocks in frame.filter(pl.col("contestant") == contestant)["blocks"].to_list()]


def _solve(cases: Sequence[tuple[int, int, float]], entropy: float, inverse: float) -> Constants:
    """Least squares of the relative errors; nothing costs less than nothing."""
    views, sizes, seconds = (np.array(column, float) for column in zip(*cases))
    best, least = Constants(entropy, inverse, 1.0, 0.0, 0.0), np.inf
    for share in SHARES:
        rest = seconds - entropy - inverse * (1 - (1 - share) ** views)
        matrix = np.stack([views, views * sizes**2], axis=1) / seconds[:, None]
        for columns in ((0, 1), (0,), (1,)):
            found = np.zeros(2)
            found[list(columns)] = np.linalg.lstsq(matrix[:, list(columns)], rest / seconds, rcond=None)[0]
            error = float(((matrix @ found - rest / seconds) ** 2).sum())
            if (found >= 0).all() and error < least - 1e-12:
                best, least = Constants(entropy, inverse, float(share), *map(float, found)), error
    return best
