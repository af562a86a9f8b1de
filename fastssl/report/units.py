"""Numbers in units a person reads."""

from collections.abc import Sequence


def compute_unit(hours: Sequence[float]) -> tuple[str, float]:
    """Name of the unit that suits the largest value, and how many of it are in one hour."""
    most = max(hours, default=0.0)
    if most < 3 / 60:
        return "seconds", 3600.0
    return ("minutes", 60.0) if most < 3 else ("hours", 1.0)


def count_unit(counts: Sequence[float]) -> tuple[str, float]:
    """Name ("thousands", or nothing) and factor that make the largest count readable."""
    most = max(counts, default=0)
    steps = (("billions", 1e-9), ("millions", 1e-6), ("thousands", 1e-3))
    return next(((name, factor) for name, factor in steps if most * factor >= 2), ("", 1.0))


def short_count(count: float) -> str:
    """1234567 -> "1.23 M"."""
    for suffix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {suffix}"
    return f"{count:.0f}"


def short_number(value: float) -> str:
    """Three digits, as many decimals as they need."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def compute_name(kinds: Sequence[str]) -> str:
    """GPU time on GPUs, machine time on CPUs, compute time when both are on one axis."""
    found = set(kinds)
    return "GPU" if found == {"cuda"} else "machine" if found == {"cpu"} else "compute"
