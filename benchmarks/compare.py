"""Two commits, or two files of records: what got slower? Exits 1 where something certainly did, beyond the threshold.

python -m benchmarks.compare HEAD~1                     the working tree against a commit, measured in turn
python -m benchmarks.compare old.jsonl --new new.jsonl  two campaigns
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastssl.data.arrays import array_source
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.report.bench_rows import paired_ratio, ratios
from fastssl.telemetry.reading import read_records

ROOT = Path(__file__).parent.parent
PATHS = ("loader", "augment", "step")
"""The three that a run spends its time in."""
LEAST_BLOCKS = 6
LONGEST_S = 180
NUM_PICTURES = 128


def compare_files(base: Path, new: Path) -> list[dict[str, Any]]:
    return ratios(read_records([base]), read_records([new]))


def compare_commits(base: str, paths: tuple[str, ...], blocks: int) -> list[dict[str, Any]]:
    """In each block every path runs with either library, in an order of its own. A fresh process for each: one
    is up to a third faster than the next of the same code for as long as it lives."""
    sides = [(path, side) for path in paths for side in ("base", "new")]
    seconds: dict[tuple[str, str], list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as scratch:
        trees = {"base": _checked_out(base, Path(scratch) / "base"), "new": ROOT}
        beton = _pictures(Path(scratch) / "pictures.beton")
        shuffle = random.Random(0).shuffle
        for number in range(blocks):
            shuffle(sides)
            for path, side in sides:
                seconds[path, side].append(_measure(path, trees[side], beton))
            print(f"block {number + 1}/{blocks}", file=sys.stderr, flush=True)
    return [paired_ratio(path, seconds[path, "base"], seconds[path, "new"]) for path in paths]


def _measure(path: str, tree: Path, beton: Path) -> float:
    """CPU seconds per item of one path with the library of that tree. Errors: `SystemExit` where it gives none."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / "hot.py"), path, str(beton)]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{path} took longer than {LONGEST_S} s") from None
    if done.returncode:
        raise SystemExit(f"{path} failed; the reason stands above")
    return float(done.stdout.split()[-1])


def _checked_out(commit: str, tree: Path) -> Path:
    """A copy of the commit with its C library compiled."""
    found = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True)
    if found.returncode:
        reason = found.stderr.decode().strip().split("\n")[0]
        raise SystemExit(f"base={commit} is neither a file of records nor a commit here ({reason}); give one that is")
    tree.mkdir()
    subprocess.run(["tar", "x"], cwd=tree, input=found.stdout, check=True)
    subprocess.run([sys.executable, "-m", "fastssl.native.build"], cwd=tree, check=False, stdout=subprocess.DEVNULL,
                   env={**os.environ, "PYTHONPATH": str(tree)})  # fmt: skip
    return tree


def _pictures(path: Path) -> Path:
    """Smooth pictures with grain, as JPEG: what both sides read."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (NUM_PICTURES, 25, 32, 3))
    smooth = coarse.repeat(12, axis=1).repeat(12, axis=2)
    pixels = np.clip(smooth + draw.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
    write_beton(array_source(pixels, np.arange(NUM_PICTURES) % 8, name="hot"), path, WriteOptions(mode="jpg"))
    return path


def verdict(found: list[dict[str, Any]], threshold: float) -> list[str]:
    """Paths that are slower by more than the threshold, whole interval; where there is none, by their median."""
    edge = lambda row: row["ratio"] if row["low"] is None else row["low"]
    return [row["path"] for row in found if not row["ceiling"] and edge(row) > 1 + threshold]


def words(row: dict[str, Any]) -> str:
    interval = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
    beside = "" if row["beside_ceiling"] is None else f"; {row['beside_ceiling']:.3f} beside the ceiling's"
    ceiling = " (ceiling)" * row["ceiling"]
    return f"{row['path']}: {row['ratio']:.3f}{interval} times the base's {row['by']}{beside}{ceiling}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="fastssl bench compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("base", help="a commit, or a file of records")
    parser.add_argument("--new", type=Path, help="a file of records, where BASE is one")
    parser.add_argument("--threshold", type=float, default=0.1, help=".1: a tenth slower is too slow")
    parser.add_argument("--blocks", type=int, default=LEAST_BLOCKS, help="6 by default; fewer have no interval")
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=PATHS)
    parser.add_argument("--json", type=Path, help="also write the ratios here")
    options = parser.parse_args()
    if Path(options.base).is_file() != (options.new is not None):
        parser.error("two files of records are compared with --new FILE, a commit without it")
    found = (compare_files(Path(options.base), options.new) if options.new
             else compare_commits(options.base, tuple(options.paths), options.blocks))  # fmt: skip
    if not found:
        print("nothing that both measured", file=sys.stderr)
        return 1
    for row in found:
        print(words(row))
    slower = verdict(found, options.threshold)
    if options.json:
        options.json.write_text(json.dumps([{**row, "ok": row["path"] not in slower} for row in found]))
    if slower:
        print(f"slower by more than {options.threshold:.0%}: {'; '.join(slower)}", file=sys.stderr)
    return bool(slower)


if __name__ == "__main__":
    sys.exit(main())
