"""How the claims stand: what was run where, and what came out."""

from collections.abc import Sequence
from pathlib import Path

from fastssl.claims import CLAIMS
from fastssl.claims.claim import Claim
from fastssl.claims.run import judge_records
from fastssl.errors import InputError
from fastssl.telemetry.reading import read_records


def states(roots: Sequence[Path]) -> list[dict[str, str]]:
    """A row per claim; its state names each machine that it was run on, as the records below `roots` say."""
    return [
        {"number": claim.label, "claim": name, "paper": claim.paper, "says": claim.says, "state": _state(claim, roots)}
        for name, claim in CLAIMS.items()
    ]


def _state(claim: Claim, roots: Sequence[Path]) -> str:
    paths = [path for root in roots if root.is_dir() for path in sorted(root.rglob(f"{claim.name}.jsonl"))]
    return "; ".join(_on(claim, path) for path in paths) or "not run"


def _on(claim: Claim, path: Path) -> str:
    try:
        judged = judge_records(claim, path)
    except InputError as error:
        return f"unreadable: {error}"
    record = read_records([path])[0]
    count = record["host"]["cores"]
    cores = f", {count} core{'s' * (count != 1)}" if record["device"]["kind"] == "cpu" else ""
    return f"{judged.verdict} on {record['device']['name']}{cores}, {judged.num_seeds} seeds"
