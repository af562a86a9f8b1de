"""What a parity run gives back."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ParityRow:
    loader: str
    statistic: str
    value: float
    reference: float
    distance: float
    bound: float
    reason: str
    """Where the bound comes from."""

    @property
    def ok(self) -> bool:
        return self.distance <= self.bound  # a NaN fails


@dataclass(frozen=True)
class ParityReport:
    dataset: str
    fingerprint: str
    backend: str
    num_images: int
    views: int
    seed: int
    spec: dict[str, Any]
    rows: tuple[ParityRow, ...]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    @property
    def failures(self) -> tuple[ParityRow, ...]:
        return tuple(row for row in self.rows if not row.ok)

    def lines(self, *, failures_only: bool = False) -> list[str]:
        """A table as plain text, one row per loader and statistic, with the verdict as its last line."""
        shown = self.failures if failures_only else self.rows
        head = f"{'loader':<10} {'statistic':<18} {'value':>9} {'reference':>9} {'distance':>9} {'bound':>9}  verdict"
        body = [
            f"{row.loader:<10} {row.statistic:<18} {row.value:9.4f} {row.reference:9.4f} {row.distance:9.4f} "
            f"{row.bound:9.4f}  {'ok' if row.ok else 'FAIL'}"
            for row in shown
        ]
        return [head, *body, self.verdict]

    @property
    def verdict(self) -> str:
        what = f"{self.dataset}: {self.num_images} images x {self.views} views, backend {self.backend}"
        if self.ok:
            return f"PASS  {what}: all {len(self.rows)} statistics within bounds of torchvision's PIL pipeline"
        return f"FAIL  {what}: {len(self.failures)} of {len(self.rows)} statistics out of bounds"

    def to_json(self) -> dict[str, Any]:
        rows = [{**asdict(row), "ok": row.ok} for row in self.rows]
        return {**asdict(self), "rows": rows, "ok": self.ok}
