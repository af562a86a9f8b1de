"""Training under `torchrun`, as a user starts it: two processes on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastssl.train.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
FLAGS = [
    *("--dataset", "tiny", "--loader", "resident", "--backend", "reference", "--device", "cpu", "--precision", "fp32"),
    *("--batch-size", "16", "--epochs", "2", "--probes", "1", "--knn-k", "5", "--optimiser", "sgd", "--lr", "0.005"),
]


def torchrun(*command):
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=400)


def state(folder):
    (run,) = folder.iterdir()
    return run, read_checkpoint(run / "checkpoint.pt")


def ours(done):
    """The lines on standard error that are not torchrun's."""
    return [line for line in done.stderr.splitlines() if line.startswith(("fastssl:", "Traceback", "RuntimeError"))]


STOPPED = """
import sys
from fastssl.cli import main, train
def stopped(recipe, progress, **options):
    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt
    return loop(recipe, progress=stop, **options)
loop, train.train = train.train, stopped
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one_and_resume_to_the_bit(tiny_dataset, tmp_path):
    train = ["train", "demo-simclr", *FLAGS, "--runs-dir"]
    whole = torchrun("-m", "fastssl.cli", *train, str(tmp_path / "two"), "--sync-bn", "--json")
    assert whole.returncode == 0, whole.stderr
    assert len([line for line in whole.stdout.splitlines() if line.startswith("epoch")]) == 2  # said once
    assert whole.stdout.splitlines()[-1].startswith("{")

    command = [sys.executable, "-m", "fastssl.cli", *train, str(tmp_path / "one")]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    (_, two), (_, one) = state(tmp_path / "two"), state(tmp_path / "one")
    weights = lambda kept: torch.cat([x.flatten() for x in kept["state"]["method"].values() if x.is_floating_point()])
    gap = torch.linalg.vector_norm(weights(two) - weights(one)) / torch.linalg.vector_norm(weights(one))
    assert gap < 3e-5  # rounding (1.4e-6 seen); without --sync-bn it is 2e-2

    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    broken = torchrun(str(script), *train, str(tmp_path / "broken"), "--sync-bn", "--checkpoint-s", "0")
    assert broken.returncode != 0
    run, stopped = state(tmp_path / "broken")
    assert 0 < stopped["position"]["step"] < 8
    refused = subprocess.run([sys.executable, "-m", "fastssl.cli", "train", "--resume", run], capture_output=True,
                             text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert "world_size=1" in refused.stderr
    assert "was begun by 2 processes" in refused.stderr
    done = torchrun("-m", "fastssl.cli", "train", "--resume", str(run))
    assert done.returncode == 0, done.stderr
    for name, value in two["state"]["method"].items():
        assert torch.equal(state(tmp_path / "broken")[1]["state"]["method"][name], value), name


@pytest.mark.slow
def test_time_budget_ends_on_one_step_everywhere(tiny_dataset, tmp_path):
    flags = [*FLAGS, "--epochs", "None", "--budget-s", "1", "--probes", "2"]
    done = torchrun("-m", "fastssl.cli", "train", "demo-simclr", *flags, "--runs-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("probe  ") == 2


@pytest.mark.slow
def test_an_error_of_all_processes_is_one_line(tiny_dataset, tmp_path):
    flags = [*FLAGS, "--batch-size", "17", "--runs-dir", str(tmp_path)]
    done = torchrun("-m", "fastssl.cli", "train", "demo-simclr", *flags)
    assert done.returncode != 0
    assert ours(done)[0] == "fastssl: batch_size=17 does not divide over world_size=2; give a multiple of 2"
    assert len([line for line in ours(done) if line.startswith("fastssl:")]) == 1


@pytest.mark.slow
def test_an_error_of_one_process_ends_the_others_without_a_word(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(
        "from fastssl.errors import InputError\n"
        "from fastssl.methods.gather import rank\n"
        "from fastssl.train.ranks import collected, together\n"
        "with together():\n"
        "    if rank() == 1:\n"
        "        raise InputError('only here')\n"
        "    collected(1)\n"
        "print('went on')\n"
    )
    done = torchrun(str(script))
    assert done.returncode != 0
    assert done.stderr.count("InputError: only here") == 1
    assert "Connection closed" not in done.stderr
    assert "went on" not in done.stdout
