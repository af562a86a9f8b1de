"""Probes of finished runs from records: one table, a row per accuracy, with its error and what it is an accuracy of."""

import re
from typing import Any

from fastssl.report.arms import METHOD_LABELS
from fastssl.report.tables import Table

SUITE = "probe"
_ACCURACY = re.compile(r"(?:ridge|logistic|mlp|finetune)(?:_labels_[\d.e-]+|_shots_\d+)?|knn(?:_k\d+)?")


def accuracies(metrics: dict[str, float]) -> list[str]:
    """Names of the metrics that are accuracies, in their order."""
    return [name for name in metrics if _ACCURACY.fullmatch(name)]


def probe_table(records: list[dict[str, Any]], sweep: bool = False) -> Table:
    """One row per accuracy: whose, on what, of which layer and views, by which probe.

    ± is the binomial standard error on the test images, or, for drawn labels, half the 95 % interval over draws; both
    are said. `sweep` shows every k of kNN, else k 20 alone.
    """
    rows, values = [], []
    for record in records:
        case, metrics = record["case"], record["metrics"]
        for name in accuracies(metrics):
            if name.startswith("knn_k") and not sweep:
                continue
            over_draws = f"{name}_ci95" in metrics
            error = metrics[f"{name}_ci95" if over_draws else f"{name}_se"]
            shown = f"{100 * metrics[name]:.2f} ± {100 * error:.2f}{' (draws)' if over_draws else ''}"
            untrained = " untrained" if case["weights"] == "random" else ""
            run = f"{METHOD_LABELS.get(case['method'], case['method'])}{untrained}, seed {case['seed']}"
            transfer = f"{case['dataset']}{' (transfer)' if case['transfer'] else ''}"
            seen = "1 plain" if case["views"] == 0 else f"{case['views']} drawn"
            rows.append((run, transfer, case["layer"], seen, _words(name), shown))
            value = {key: case[key] for key in ("run", "weights", "dataset", "layer", "views")}
            values.append({**value, "probe": name, "accuracy": metrics[name], "error": error})
    protocols = dict.fromkeys(record["case"]["protocol"] for record in records)
    note = "\n".join(f"- {protocol}" for protocol in protocols)
    error = "± is the standard error on the test images, or, where it says so, a 95 % interval over draws of labels."
    return Table(("run", "dataset", "layer", "views", "probe", "accuracy %"), tuple(rows), tuple(values),
                 f"{error}\n{note}")  # fmt: skip


def _words(name: str) -> str:
    kind, _, rest = name.partition("_")
    if rest.startswith("labels_"):
        return f"{kind}, {100 * float(rest.removeprefix('labels_')):g} % of labels"
    if rest.startswith("shots_"):
        return f"{kind}, {rest.removeprefix('shots_')} per class"
    return f"{kind}, k {rest[1:]}" if rest else {"knn": "knn, k 20"}.get(kind, kind)
