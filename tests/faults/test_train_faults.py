"""A training process killed at twenty moments loses nothing that was finished, and ends where it would have ended."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from fastssl.telemetry.records import read_records
from fastssl.train.checkpoint import read_checkpoint

OPTIONS = ["--batch-size", "16", "--epochs", "300", "--probes", "6", "--knn-k", "5", "--precision", "fp32"]
COMMAND = [sys.executable, "-m", "fastssl.cli", "train"]
KILLS = 20


def start(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, env=environment, text=True)


def wait_for(process, beginning):
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"the run ended with status {process.wait()} before it said {beginning!r}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_run_killed_twenty_times_ends_like_one_that_was_not(tiny_dataset, tmp_path):
    arguments = ["demo-simclr", "--dataset", "tiny", *OPTIONS]
    assert start(*arguments, "--runs-dir", str(tmp_path / "whole")).wait() == 0
    (whole,) = (tmp_path / "whole").iterdir()

    process = start(*arguments, "--runs-dir", str(tmp_path / "killed"), "--checkpoint-s", "0")
    wait_for(process, "length")
    time.sleep(1.0)  # past the warm-up and the first checkpoint
    step, killed = 0, None
    for kill in range(KILLS):
        time.sleep(0.017 * kill)
        assert process.poll() is None, f"the run ended before kill {kill}; make it longer"
        process.send_signal(signal.SIGKILL)
        process.wait()
        (killed,) = (tmp_path / "killed").iterdir()
        saved = read_checkpoint(killed / "checkpoint.pt")["position"]["step"]
        assert saved >= step, "finished work was lost"
        step = saved
        process = start("--resume", str(killed), "--json")
        wait_for(process, "resume")
    process.stdout.read()
    assert process.wait() == 0
    assert step > KILLS

    results = [read_records([run / "records.jsonl"]) for run in (whole, killed)]
    metrics = [[(r["case"]["step"], r["metrics"]) for r in records] for records in results]
    assert metrics[0] == metrics[1]
    states = [read_checkpoint(run / "checkpoint.pt")["state"]["method"] for run in (whole, killed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert {p.name for p in killed.iterdir()} == {"recipe.json", "checkpoint.pt", "records.jsonl", "finished", "lock"}
