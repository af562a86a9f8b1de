"""Spectra of representations from records: which ones there are, and one table of their measures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.report.arms import METHOD_LABELS
from fastssl.report.load import record_files
from fastssl.report.tables import MISSING, Table
from fastssl.telemetry.reading import read_records

SUITE = "spectrum"
MEASURES = {
    "alpha": "alpha",
    "alpha_r2": "R²",
    "rankme": "RankMe",
    "effective_rank": "eff. rank",
    "lidar": "LiDAR",
    "alignment": "alignment",
    "uniformity": "uniformity",
}
NOTE = (
    "alpha: exponent of the covariance's eigenvalues; ranks count directions; alignment and uniformity are on the unit "
    "sphere. They compare runs with one another and with the untrained encoder, and certify nothing by themselves."
)


def load_spectra(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Records of spectra: of every run, layer, dataset and weights the last one. Errors: `InputError` for none."""
    files = record_files(paths)
    last = {key_of(r): r for r in read_records(files) if r["suite"] == SUITE}
    if not last:
        raise InputError("records hold no spectrum; make some with `fastssl spectrum RUN`")
    return list(last.values())


def key_of(record: dict[str, Any]) -> tuple[str, ...]:
    case = record["case"]
    return (case["run"], case["layer"], record["dataset"]["fingerprint"], case["weights"])


def name_of(record: dict[str, Any], several_layers: bool = False) -> str:
    case = record["case"]
    untrained = ", untrained" if case["weights"] == "random" else ""
    layer = f", {case['layer']}" if several_layers else ""
    return f"{METHOD_LABELS.get(case['method'], case['method'])} seed {case['seed']}{layer}{untrained}"


def spectrum_table(records: list[dict[str, Any]]) -> Table:
    """One row per network, a run's trained encoder above its untrained one."""
    layers = len({r["case"]["layer"] for r in records}) > 1
    rows, values = [], []
    for record in records:
        metrics = record["metrics"]
        cells = [f"{metrics[name]:.3g}" if name in metrics else MISSING for name in MEASURES]
        rows.append((name_of(record, layers), str(len(record["samples"])), *cells))
        case = {name: record["case"][name] for name in ("run", "layer", "weights", "step")}
        values.append({**case, "dim": len(record["samples"]), **metrics})
    protocols = "; ".join(dict.fromkeys(r["case"]["protocol"] for r in records))
    header = ("encoder", "dim", *MEASURES.values())
    return Table(header, tuple(rows), tuple(values), f"{protocols}. {NOTE}")
