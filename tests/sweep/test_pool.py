"""Runs in processes of their own: done once, resumed when cut off, never a burden to the others."""

import dataclasses
import json
import os
import signal
import threading
import time

import pytest
from tiny_runs import Interrupted, interrupted_after, tiny

from fastssl.errors import InputError
from fastssl.sweep import Slots, run_pool
from fastssl.sweep.worker import run_job
from fastssl.train import train


def without_words(line):
    pass


def test_every_recipe_is_run_and_a_failure_costs_the_others_nothing(tiny_dataset, tmp_path):
    good = tiny(epochs=1)
    bad = dataclasses.replace(good, name="bad", data=dataclasses.replace(good.data, dataset="absent"))
    states = []
    outcomes = run_pool([bad, good], tmp_path, Slots.split(1), tell=lambda o: states.append([one.state for one in o]))
    assert [one.state for one in outcomes] == ["failed", "done"]
    assert "dataset=absent" in outcomes[0].error
    assert outcomes[1].result == json.loads(
        json.dumps(dataclasses.asdict(train(good, runs_dir=tmp_path, say=without_words)))
    )
    assert ["failed", "running"] in states
    started = os.stat(tmp_path / outcomes[1].result["run"] / "records.jsonl").st_mtime_ns
    again = run_pool([good], tmp_path, Slots.split(1))
    assert again[0].result == outcomes[1].result
    assert os.stat(tmp_path / again[0].result["run"] / "records.jsonl").st_mtime_ns == started


def test_cut_off_run_goes_on_and_ends_as_if_it_never_stopped(tiny_dataset, tmp_path):
    recipe = tiny(checkpoint_s=0.0)
    whole = train(recipe, runs_dir=tmp_path / "whole", say=without_words)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path / "cut", say=without_words, progress=interrupted_after(3))
    result = run_job({"recipe": recipe.to_json(), "runs_dir": str(tmp_path / "cut")})
    assert result["run"] == whole.run
    assert result["metrics"] == whole.metrics
    assert result["budget"]["steps"] == whole.budget["steps"]


def test_process_that_is_killed_is_named(tiny_dataset, tmp_path):
    recipe = tiny(epochs=2000)
    killed = threading.Event()

    def kill(outcomes):
        if outcomes[0].share > 0 and not killed.is_set():
            killed.set()
            pid = int(next(line for line in _children() if line))
            os.kill(pid, signal.SIGKILL)

    (outcome,) = run_pool([recipe], tmp_path, Slots.split(1), tell=kill)
    assert outcome.state == "failed"
    assert outcome.error.startswith("the process was ended by signal 9")


def test_interruption_ends_the_processes(tiny_dataset, tmp_path):
    def interrupt(outcomes):
        if outcomes[0].share > 0:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_pool([tiny(epochs=5000)], tmp_path, Slots.split(1), tell=interrupt)
    assert time.monotonic() - began < 60
    assert not list(_children())


def test_places_share_cores_and_gpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert Slots.split(2).places == (((0, 1, 2, 3), None), ((4, 5, 6, 7), None))
    assert [gpu for _, gpu in Slots.split(2, gpus=2).places] == [0, 1, 0, 1]
    assert len({core for cores, _ in Slots.split(2, gpus=2).places for core in cores}) == 8
    with pytest.raises(InputError, match="parallel=9 makes 9 runs at a time on 8 cores"):
        Slots.split(9)


def _children():
    """Processes of sweeps that this one started."""
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as handle:
            for pid in handle.read().split():
                with open(f"/proc/{pid}/cmdline", "rb") as command:
                    if b"fastssl.sweep.worker" in command.read():
                        yield pid
