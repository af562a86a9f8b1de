"""Redraws every committed figure, and the tables of the READMEs and of docs/, from the committed records.

python tools/plots.py            # rewrite results/figures/ and the tables
python tools/plots.py --check    # exit 1 if a table or a figure is stale

A document holds `<!-- table: NAME -->` ... `<!-- end: NAME -->`, and what is between them is made anew. NAME is

- the path of a training campaign below results/, without ending: its budget table;
- `method KIND`: what one method reached in all of them; `methods`: all methods; `recipes KIND`: the recipes of one;
- `augment`, `load`, `step`, `write`, `losses`, `probes`: every campaign of that benchmark, with its figures;
- `cost-model`: what an image costs in parts, and which machine that asks for;
- `toy`: the known-spectrum toy beside its reference;
- `claims`: how every claim stands, and each that was run with its effects and picture;
- `speedrun`: the leaderboard.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.claims import CLAIMS
from fastssl.claims.run import SUITE as CLAIM
from fastssl.claims.run import Judged, judge_records
from fastssl.claims.states import states
from fastssl.methods.cards import method_cards
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.report.bench_figures import has_bars, loader_bars, model_curves, step_bars
from fastssl.report.claim_figure import claim_figure
from fastssl.report.cost_model import can_fit
from fastssl.report.cost_model_tables import growth_of, model_tables
from fastssl.report.cost_tables import CostTable, augment_tables, unmeasured_gpu_tables
from fastssl.report.costs import SUITE, load_timings
from fastssl.report.feed_costs import SUITE as STEP
from fastssl.report.feed_costs import load_steps, step_tables
from fastssl.report.figures import budget_csv, budget_figure
from fastssl.report.load import load_runs
from fastssl.report.loader_costs import SUITE as LOAD
from fastssl.report.loader_costs import load_loaders
from fastssl.report.loader_figure import has_curve, views_figure
from fastssl.report.loader_tables import loader_tables
from fastssl.report.loss_costs import SUITE as LOSSES
from fastssl.report.loss_costs import load_losses
from fastssl.report.loss_tables import loss_tables
from fastssl.report.method_tables import method_results
from fastssl.report.probe_costs import SUITE as PROBES
from fastssl.report.probe_costs import probe_costs
from fastssl.report.speedruns import is_speedrun, leaderboard
from fastssl.report.tables import budget_table
from fastssl.report.toy_tables import SUITE as TOY
from fastssl.report.toy_tables import load_toys, toy_tables
from fastssl.report.write_costs import SUITE as WRITE
from fastssl.report.write_costs import load_writes, write_tables
from fastssl.telemetry.files import write_atomically
from fastssl.telemetry.reading import read_records

ROOT = Path(__file__).parent.parent
LABELS = dict.fromkeys(
    (
        "train/cpu-amd-epyc-2core/cifar10-ten-minutes",
        "train/cpu-amd-epyc-1core/cifar10-three-minutes",
        "train/cpu-intel-xeon-processor-2core/cifar10-speedrun",
        "train/nvidia-h200/cifar10-eight-seconds",
    ),
    "CIFAR-10 (JPEG)",
)
"""What to call a campaign's dataset when its name says too little: a JPEG copy of CIFAR-10 is not CIFAR-10."""
MANIFEST = "manifest.json"
UNMEASURED = "No campaign has been recorded yet."


def campaigns(results: Path, suite: str) -> list[Path]:
    """Committed records of one suite ("train", "augment", ...): results/<folder>/<machine>/<campaign>.jsonl."""
    return [path for path in sorted(results.glob("*/*/*.jsonl")) if read_records([path])[0]["suite"] == suite]


def documents(root: Path) -> list[Path]:
    named = [root / "README.md", root / "benchmarks" / "README.md"]
    return [*(path for path in named if path.is_file()), *sorted((root / "docs").rglob("*.md"))]


def load(path: Path, results: Path) -> pl.DataFrame:
    return load_runs([path], LABELS.get(str(path.relative_to(results).with_suffix(""))))


def with_tables(text: str, results: Path, folder: Path) -> str:
    """The document in `folder` with each block between `<!-- table: NAME -->` and its end made anew."""

    def table(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        if name.startswith("method "):
            frames = [load(path, results) for path in campaigns(results, "train")]
            body = method_results(frames, name.removeprefix("method "))
        elif name.startswith("recipes "):
            body = recipe_table(name.removeprefix("recipes "))
        elif name == "methods":
            body = method_table()
        elif name == SUITE:
            body = augment_text(results)
        elif name == LOAD:
            body = loader_text(results, folder)
        elif name == STEP:
            body = step_text(results, folder)
        elif name == WRITE:
            body = write_text(results)
        elif name == "cost-model":
            body = cost_model_text(results, folder)
        elif name == LOSSES:
            body = loss_text(results)
        elif name == PROBES:
            body = probe_text(results)
        elif name == "claims":
            body = claims_text(results, folder)
        elif name == "speedrun":
            body = leaderboard(read_records(filter(is_speedrun, campaigns(results, "train")))) or UNMEASURED
        elif name == TOY:
            body = toy_text(results)
        else:  # raises for a campaign that is not there
            body = budget_table(load(results / f"{name}.jsonl", results)).markdown().strip()
        return f"{begin}\n{body}\n{end}"

    return re.sub(r"(<!-- table: ((?:method |recipes )?\S+) -->).*?(<!-- end: \2 -->)", table, text, flags=re.DOTALL)


def method_table() -> str:
    """Every registered method, with its page in the same folder."""
    rows = [(f"[{c.name}]({c.kind}.md)", c.idea[:1].upper() + c.idea[1:], c.paper) for c in method_cards()]
    return markdown(("method", "idea", "paper"), rows)


def recipe_table(method: str) -> str:
    """The recipes of one method, as they are run when no flag says otherwise."""
    recipes = [make() for make in RECIPES.values()]
    rows = [_recipe_row(recipe) for recipe in recipes if recipe.method.kind == method]
    return markdown(("recipe", "network", "views", "images per step", "length", "optimiser", "settings"), rows)


def _recipe_row(recipe: Recipe) -> tuple[str, ...]:
    optim, specs = recipe.optim, recipe.drawer.specs
    sizes = {spec.size: sum(s.size == spec.size for s in specs) for spec in specs}
    about = (RECIPES[recipe.name].__doc__ or "").partition(". ")[0].rstrip(".")
    rate = f"{optim.optimiser} {optim.lr:.3g}, decay {optim.weight_decay:g}".replace("e-0", "e-")
    epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs != 1 else ''}"
    return (
        f"`{recipe.name}`",
        recipe.model.arch,
        " + ".join(f"{count} x {size}" for size, count in sizes.items()),
        str(recipe.batch_size),
        f"{recipe.budget_s:g} s" if recipe.epochs is None else epochs,
        "" if recipe.method.kind == "random" else rate,
        about,
    )


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def augment_text(results: Path) -> str:
    """Every campaign of the suite under a heading of its own: numbers of two campaigns never share a table.

    While no campaign has met a GPU, its tables stand empty at the end.
    """
    frames = {path: load_timings([path]) for path in campaigns(results, SUITE)}
    parts = [] if frames else [UNMEASURED]
    for path, frame in frames.items():
        parts += _section(f"{path.parent.name}, {path.stem}", augment_tables(frame))
    if not any("cuda" in frame["kind"] for frame in frames.values()):
        parts += _section("GPU: not measured yet", unmeasured_gpu_tables())
    return "\n\n".join(parts)


def loader_text(results: Path, folder: Path) -> str:
    """Every campaign of the loaders under a heading of its own, with its curve over the number of views."""
    parts = []
    for path in campaigns(results, LOAD):
        parts += _section(f"{path.parent.name}, {path.stem}", loader_tables(load_loaders([path])))
        parts += pictures(path, results, folder)
    return "\n\n".join(parts or [UNMEASURED])


def step_text(results: Path, folder: Path) -> str:
    """Every campaign of the steps under a heading of its own, with its bars."""
    parts = []
    for path in campaigns(results, STEP):
        parts += _section(f"{path.parent.name}, {path.stem}", step_tables(load_steps([path])))
        parts += pictures(path, results, folder)
    return "\n\n".join(parts or [UNMEASURED])


def write_text(results: Path) -> str:
    """Every campaign of the writers under a heading of its own."""
    parts = []
    for path in campaigns(results, WRITE):
        parts += _section(f"{path.parent.name}, {path.stem}", write_tables(load_writes([path])))
    return "\n\n".join(parts or [UNMEASURED])


def cost_model_text(results: Path, folder: Path) -> str:
    """The model of each campaign that it can be fitted to. What the steps want is told by every campaign of them on a
    GPU; how the cores get in one another's way, by the campaign over most threads."""
    loads = campaigns(results, LOAD)
    steps = load_steps(paths) if (paths := campaigns(results, STEP)) else None
    growth = max((growth_of(load_loaders([path])) for path in loads), default=(1.0, ""))
    parts = []
    for path in loads:
        if can_fit(frame := load_loaders([path])):
            parts += _section(f"{path.parent.name}, {path.stem}", model_tables(frame, steps, growth))
            parts += pictures(path, results, folder)
    return "\n\n".join(parts or [UNMEASURED])


def loss_text(results: Path) -> str:
    """Every campaign of the losses under a heading of its own."""
    parts = []
    for path in campaigns(results, LOSSES):
        parts += _section(f"{path.parent.name}, {path.stem}", loss_tables(load_losses([path])))
    return "\n\n".join(parts or [UNMEASURED])


def probe_text(results: Path) -> str:
    """Every campaign of the probes under a heading of its own."""
    parts = [f"**{path.parent.name}, {path.stem}**\n\n{probe_costs([path])}" for path in campaigns(results, PROBES)]
    return "\n\n".join(parts or [UNMEASURED])


def toy_text(results: Path) -> str:
    """Every campaign of the toy under a heading of its own: its cells beside the reference."""
    parts = []
    for path in campaigns(results, TOY):
        tables = toy_tables(load_toys([path]))
        parts += [
            f"## {path.parent.name}, {path.stem}",
            *(f"**{title}**\n\n{t.markdown()}".strip() for title, t in tables),
        ]
    return "\n\n".join(parts or [UNMEASURED])


def claims_text(results: Path, folder: Path) -> str:
    """How all claims stand; then every one that was run, with its rule, what was found and its picture."""
    rows = [tuple(row.values()) for row in states([results / "claims"])]
    parts = [markdown(("", "claim", "paper", "says", "state"), rows)]
    for path in sorted(campaigns(results, CLAIM), key=lambda path: CLAIMS[path.stem].number):
        judged = judge_records(CLAIMS[path.stem], path)
        record = read_records([path])[0]
        claim, code, cores = judged.claim, record["code"], record["host"]["cores"]
        parts += [
            f"## {claim.label} {claim.name}: {judged.verdict}",
            f"{claim.says} ({claim.paper})",
            f"{judged.form.setting}; {judged.num_seeds} seeds; {record['device']['name']}, {cores} "
            f"core{'s' * (cores != 1)} a run; `{record['case']['command']}` at {code['commit'][:7]}.",
            markdown(("effect", "claimed", "found (95 % interval)", "n", "verdict"), judged.rows),
            *pictures(path, results, folder),
            claim.reading,
        ]
    return "\n\n".join(parts)


def draw_claim(judged: Judged, out: Path) -> list[Path]:
    return claim_figure(judged.form.panels, judged.form.arms, judged.runs, judged.title, out)


def figure_path(records: Path, results: Path) -> Path:
    """Where the figure of a campaign lies, without ending."""
    suite, machine = records.relative_to(results).parts[:2]
    return results / "figures" / f"{suite}-{machine}-{records.stem}"


@dataclass(frozen=True)
class Drawing:
    """A figure that a campaign of the suite gets, where `has` says that it holds what is drawn."""

    suite: str
    load: Callable[[list[Path]], Any]
    has: Callable[[Any], bool]
    draw: Callable[[Any, Path], list[Path]]
    ending: str
    words: str

    def out(self, path: Path, results: Path) -> Path:
        drawn = figure_path(path, results)
        return drawn.with_name(f"{drawn.name}{self.ending}")


DRAWINGS = (
    Drawing(LOAD, load_loaders, has_curve, views_figure, "", "CPU time per source image against the number of views"),
    Drawing(LOAD, load_loaders, has_bars, loader_bars, "-bars", "CPU time per source image, by loader"),
    Drawing(LOAD, load_loaders, can_fit, model_curves, "-parts", "What an image costs one core, in parts"),
    Drawing(
        CLAIM,
        lambda paths: judge_records(CLAIMS[paths[0].stem], paths[0]),
        lambda judged: True,
        draw_claim,
        "",
        "The claim's runs",
    ),
    Drawing(STEP, load_steps, lambda frame: True, step_bars, "", "Training fed by each loader"),
)


def drawings(results: Path) -> Iterator[tuple[Drawing, Path, Any]]:
    """Every figure beside those of training runs: its campaign, and what that holds."""
    for suite in dict.fromkeys(drawing.suite for drawing in DRAWINGS):
        for path in campaigns(results, suite):
            for drawing in DRAWINGS:
                if drawing.suite == suite and drawing.has(frame := drawing.load([path])):
                    yield drawing, path, frame


def pictures(campaign: Path, results: Path, folder: Path) -> list[str]:
    """The campaign's figures, as a document in `folder` shows them."""
    found = [drawing for drawing, path, _ in drawings(results) if path == campaign]
    return [f"![{one.words}]({os.path.relpath(one.out(campaign, results), folder)}.svg)" for one in found]


def _section(heading: str, tables: list[CostTable]) -> list[str]:
    return [f"## {heading}", *(f"**{table.title}**\n\n{table.markdown()}" for table in tables)]


DRAWN_BY = (
    *("figures", "intervals", "labels", "load", "arms", "statistics", "student", "units"),
    *("loader_figure", "loader_costs", "loader_words", "costs", "bench_figures", "cost_model", "feed_costs"),
    *("claim_figure", "verdict"),
)
"""Modules of `fastssl.report` that decide how a figure looks."""


def fingerprints(results: Path) -> dict[str, str]:
    """By figure, the hash of what it is made from: its records, what its dataset is called, and the code that draws.

    Pixels are not compared, because another version of matplotlib draws other ones.
    """
    code = b"".join((ROOT / "fastssl" / "report" / f"{name}.py").read_bytes() for name in DRAWN_BY)
    found = {}
    for path in campaigns(results, "train"):
        name = str(path.relative_to(results).with_suffix(""))
        content = path.read_bytes() + LABELS.get(name, "").encode() + code
        found[figure_path(path, results).name] = hashlib.sha256(content).hexdigest()
    for drawing, path, _ in drawings(results):
        found[drawing.out(path, results).name] = hashlib.sha256(path.read_bytes() + code).hexdigest()
    return found


def stale_figures(results: Path) -> list[str]:
    """Names of figures that are missing, left over, or not of the records and the code that are there."""
    folder = results / "figures"
    manifest = folder / MANIFEST
    known = json.loads(manifest.read_text()) if manifest.is_file() else {}
    wanted = fingerprints(results)
    stale = {name for name in wanted.keys() | known.keys() if wanted.get(name) != known.get(name)}
    stale |= {name for name in wanted if not all((folder / f"{name}{end}").is_file() for end in (".png", ".svg"))}
    for path in campaigns(results, "train"):
        out = figure_path(path, results)
        csv = out.with_name(f"{out.name}.csv")
        if not csv.is_file() or csv.read_text() != load(path, results).write_csv():
            stale.add(out.name)
    return sorted(stale)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a table or a figure is stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout, with README.md, docs/ and results/")
    options = parser.parse_args()
    root = options.root
    results = root / "results"
    fresh = {path: with_tables(path.read_text(), results, path.parent) for path in documents(root)}
    stale = [path for path, text in fresh.items() if text != path.read_text()]
    if options.check:
        for path in stale:
            print(
                f"{path.relative_to(root)}: its tables are not those of the records; run `make plots`", file=sys.stderr
            )
        figures = stale_figures(results)
        for name in figures:
            print(f"results/figures/{name}: not of the records as they are; run `make plots`", file=sys.stderr)
        return bool(stale or figures)
    for path in campaigns(results, "train"):
        frame, out = load(path, results), figure_path(path, results)
        for file in (*budget_figure(frame, out), budget_csv(frame, out)):
            print(f"wrote {file.relative_to(root)}")
    for drawing, path, frame in drawings(results):
        for file in drawing.draw(frame, drawing.out(path, results)):
            print(f"wrote {file.relative_to(root)}")
    manifest = json.dumps(fingerprints(results), indent=1, sort_keys=True) + "\n"
    write_atomically(results / "figures" / MANIFEST, manifest.encode())
    for path in stale:
        path.write_text(fresh[path])
        print(f"wrote {path.relative_to(root)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
