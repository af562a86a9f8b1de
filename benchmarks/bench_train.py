"""Recipes for a time budget each, in a process of their own: images per second of training clock, and accuracy.

python -m benchmarks.bench_train --quick                               two recipes on the built-in dataset
python -m benchmarks.bench_train --recipes cifar10-nano-barlow --seconds 180 --seeds 3 --records FILE
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from fastssl.recipes import RECIPES
from fastssl.telemetry.reading import read_records
from fastssl.telemetry.records import append_record

QUICK = ("demo-simclr", "demo-random")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fastssl bench train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="ten seconds each")
    parser.add_argument("--recipes", nargs="+", default=QUICK, metavar="RECIPE", help=", ".join(QUICK) + " by default")
    parser.add_argument("--seconds", type=float, help="of training clock; 60, quick 10")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/train.jsonl"), help="appended to")
    options = parser.parse_args()
    if unknown := sorted(set(options.recipes) - set(RECIPES)):
        parser.error(f"--recipes {' '.join(unknown)}: unknown; `fastssl train --help` lists them")
    seconds = options.seconds or (10 if options.quick else 60)
    failed = False
    for recipe in options.recipes:
        for seed in range(options.seeds):
            failed |= not _run(recipe, seed, seconds, options)
    return failed


def _run(recipe: str, seed: int, seconds: float, options: argparse.Namespace) -> bool:
    """Its last record is appended; what it says goes to standard error."""
    with tempfile.TemporaryDirectory() as runs:
        length = [] if RECIPES[recipe]().epochs == 1 else ["--epochs", "None", "--budget-s", str(seconds)]
        command = [sys.executable, "-m", "fastssl.cli", "train", recipe, *length, "--seed", str(seed), "--device",
                   options.device, "--runs-dir", runs]  # fmt: skip
        code = subprocess.run(command, stdout=sys.stderr).returncode
        files = list(Path(runs).glob("*/records.jsonl"))
        if code or not files:
            print(f"{recipe}, seed {seed}: failed; the reason stands above", file=sys.stderr)
            return False
        append_record(options.records, read_records(files)[-1])
    return True


if __name__ == "__main__":
    sys.exit(main())
