"""Run a paper's claim and judge it: PASS, FAIL or UNCLEAR, each effect with its interval, and a picture.

What is run, how often, and in which band each effect must lie was fixed beforehand, in one file per claim.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from fastssl.claims import CLAIMS
from fastssl.claims.run import Judged, judge_records, run_claim
from fastssl.claims.states import states
from fastssl.cli import unknown
from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.report.claim_figure import claim_figure

EXAMPLE = "fastssl claim small-projector    or: fastssl claim --list"


@dataclass(frozen=True)
class Command:
    name: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME ...]")] = ()
    """Claims, by name or number (`C1`)."""
    list: bool = False
    """Show all claims and where each was run, with what result; run none."""
    on: Literal["auto", "cpu", "gpu"] = "auto"
    """Which form: for two CPU cores and at most three minutes, or for one GPU and at most eight. auto takes the GPU
    when there is one."""
    seeds: int | None = None
    """Runs per arm; the claim's own number by default."""
    parallel: int | None = None
    """Runs at a time; one per core, or one per GPU, by default. Claims about time always have one."""
    out: Path = Path("runs/claims")
    """Receives the runs, the records (NAME.jsonl) and the picture. Runs finished there are not repeated."""
    records: Path = Path("results/claims")
    """Of --list: where committed records lie, MACHINE/NAME.jsonl; `out` is looked through too."""
    judge: bool = False
    """Judge the records that lie in `out`; run nothing."""
    fresh: bool = False
    """Run everything anew."""

    def run(self, console: Console) -> dict[str, Any]:
        if self.list:
            return self._list(console)
        if self.seeds is not None and self.seeds < 1:
            raise WrongUse(f"seeds={self.seeds} runs nothing; give 1 or more")
        if not self.name:
            raise WrongUse("name= names no claim; give one of `fastssl claim --list`")
        documents = [self._one(console, self._named(name)) for name in self.name]
        return {"ok": True, "claims": documents}

    def _one(self, console: Console, name: str) -> dict[str, Any]:
        claim = CLAIMS[name]
        machine = self.on if self.on != "auto" else "gpu" if torch.cuda.is_available() else "cpu"
        form = claim.form(machine)
        console.say(f"\n{claim.label} {claim.name} ({claim.paper}): {claim.says}")
        console.say(f"on {machine}: {form.setting}; {len(form.arms)} arms, {self.seeds or form.seeds} seeds")
        path = self.out / f"{name}.jsonl"
        if not self.judge:
            with console.live(("arm", "seed", "state")) as show:
                tell = lambda rows: show([(arm, str(seed), state) for arm, seed, state in rows])
                path = run_claim(claim, machine, self.out, seeds=self.seeds, parallel=self.parallel,
                                 fresh=self.fresh, tell=tell)  # fmt: skip
        return self._show(console, judge_records(claim, path), path)

    def _show(self, console: Console, judged: Judged, path: Path) -> dict[str, Any]:
        figures = claim_figure(judged.form.panels, judged.form.arms, judged.runs, judged.title, path.with_suffix(""))
        console.table(("effect", "claimed", "found (95 % interval)", "n", "verdict"), judged.rows)
        console.say(f"{judged.claim.label} {judged.claim.name}: {judged.verdict}")
        console.say(judged.claim.reading)
        for figure in (path, *figures):
            console.say(f"wrote {figure}")
        return judged.to_json() | {"records": str(path), "figures": [str(figure) for figure in figures]}

    def _list(self, console: Console) -> dict[str, Any]:
        rows = states([self.records, self.out])
        shown = ("number", "claim", "paper", "state")
        console.table(shown, [tuple(row[name] for name in shown) for row in rows])
        return {"ok": True, "claims": rows}

    def _named(self, name: str) -> str:
        found = {claim.label.lower(): claim.name for claim in CLAIMS.values()}.get(name.lower(), name)
        if found not in CLAIMS:
            raise WrongUse(unknown("name", name, list(CLAIMS)))
        return found
