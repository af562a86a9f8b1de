"""A campaign of training steps: every feed opened once, timed in turn, and what it costs written down."""

import math
import time

import pytest
import torch

from benchmarks.load import photographs
from benchmarks.load.stored import Cache
from benchmarks.step import campaign
from benchmarks.step.campaign import Extent, run_case
from benchmarks.step.cases import CACHED, MODEL_ONLY, cases
from benchmarks.step.write_down import record_of
from fastssl.report.feed_costs import load_steps, step_tables
from fastssl.telemetry.records import append_record

CASE = cases("cpu")["nano-32"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """512 pictures of 32 px, from those of scikit-learn alone."""
    with pytest.MonkeyPatch.context() as patch:
        kept = {name: path for name, path in photographs.PICTURES.items() if path.startswith("sklearn")}
        patch.setattr(photographs, "PICTURES", kept)
        return Cache(tmp_path_factory.mktemp("stored"), 8, 512).stored("raw-32")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setitem(campaign.BLOCK_S, True, 0.01)
    monkeypatch.setattr(campaign, "LEAST_STEPS", 2)
    monkeypatch.setattr(campaign, "DRAIN", 1)


def run(stored, *names, blocks=2, until=math.inf):
    return run_case(CASE, stored, "cpu", names, Extent(blocks, True, until))


def test_feeds_and_ceilings_become_records_and_tables(stored, tmp_path):
    entries, found = run(stored, "resident", "torchvision", MODEL_ONLY, CACHED)
    assert [(entry.name, entry.outcome, len(entry.wall_s)) for entry in entries] == [
        (name, "ok", 2) for name in ("resident", "torchvision", MODEL_ONLY, CACHED)
    ]
    assert all(0 < seconds < 1 for entry in entries for seconds in entry.wall_s)
    for entry in entries:
        append_record(tmp_path / "step.jsonl", record_of(entry, found, True))
    table, stages = step_tables(load_steps([tmp_path / "step.jsonl"]))
    assert len(table.rows) == 4
    assert "Quick run" in table.note
    assert stages.rows[0][0].startswith("nano, 32 px")
    assert found.step_flops > 0


def test_a_feed_that_cannot_be_opened_is_a_row_that_says_why(stored):
    entries, _ = run(stored, "nvjpeg", MODEL_ONLY, blocks=1)
    assert [entry.outcome for entry in entries] == ["failed", "ok"]
    assert "nvjpeg" in entries[0].reason


def test_no_block_begins_after_its_time_and_what_was_not_timed_is_a_timeout(stored):
    entries, found = run(stored, MODEL_ONLY, until=time.perf_counter() - 1)
    assert entries[0].wall_s == []
    record = record_of(entries[0], found, True)
    assert (record["outcome"], record["samples"]) == ("timeout", [])


def test_an_interrupt_keeps_the_blocks_that_are_whole(stored, monkeypatch):
    turns = []

    def block(entry, device):
        turns.append(entry.name)
        if len(turns) == 4:
            raise KeyboardInterrupt
        entry.wall_s.append(1e-3)
        entry.waited.append(0.0)

    monkeypatch.setattr(campaign, "_block", block)
    entries, _ = run(stored, "resident", MODEL_ONLY, blocks=6)
    assert [len(entry.wall_s) for entry in entries] == [1, 1]


def test_the_step_fed_by_a_loader_is_the_runs_own(stored):
    """The network learns in it: its weights are others afterwards."""
    recipe = CASE.recipe(stored.beton, "cpu", 1)
    from benchmarks.step.feeds import open_feed
    from fastssl.train.setup import build

    parts = build(recipe)
    batch = next(iter(parts.loader.epoch(0)))
    before = torch.cat([weight.detach().flatten().clone() for weight in parts.trainable.method.parameters()])
    feed = open_feed("resident", parts, batch)
    feed.step()
    feed.close()
    after = torch.cat([weight.detach().flatten() for weight in parts.trainable.method.parameters()])
    assert not torch.equal(before, after)
