"""What the benchmark of losses does with contestants that are right, wrong, absent or broken; counts are exact."""

import json
import sys

import pytest
import torch
from torch import nn

from benchmarks import bench_losses
from benchmarks.losses import campaign, ours, peers
from benchmarks.losses.cases import LOSSES, Case, cases
from benchmarks.losses.contestant import Contestant, Missing, batches, stack_of, views_of
from benchmarks.losses.contract import breaches, probe_of
from benchmarks.losses.counts import count_work, peak_bytes
from benchmarks.losses.write_down import record_of
from fastssl.telemetry.reading import read_records

SMALL = Case("vicreg", dim=8, views=2, batch=16)
EXTENT = campaign.Extent(blocks=3, rounds=1, quick=True)


@pytest.fixture
def quick_rounds(monkeypatch):
    monkeypatch.setitem(campaign.SHORTEST_S, "cpu", 1e-4)


def with_peers(monkeypatch, **found):
    """The peers of VICReg, by name: functions of a batch, or errors of building."""

    def builder(given):
        def build(case):
            if isinstance(given, Exception):
                raise given
            return given if isinstance(given, Contestant) else Contestant(given, stack_of, "made up")

        return build

    monkeypatch.setitem(peers.PEERS, "vicreg", {name: builder(given) for name, given in found.items()})


def vicreg(batch):
    return ours.OURS["vicreg"]["ours"](batch)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_loss_has_cases_contestants_and_names_of_its_own(device):
    for quick in (True, False):
        found = cases(device, quick)
        assert len({case.name for case in found}) == len(found)
        assert tuple(dict.fromkeys(case.loss for case in found)) == LOSSES
    assert set(LOSSES) == set(ours.OURS)
    assert set(peers.PEERS) <= set(LOSSES)
    wide = [case.views for case in cases(device, quick=False) if case.loss == "vicreg" and case.dim == 8192]
    assert wide == ([2] if device == "cpu" else [2, 4, 8])


@pytest.mark.parametrize("loss", LOSSES)
def test_forms_of_ours_agree_where_a_contract_takes_them_for_one(loss):
    """At two views; and each gives a gradient of the embeddings."""
    case = Case(loss, dim=6, views=1 if loss == "diet" else 2, batch=10, rows=20 if loss == "diet" else 0)
    for form in ours.OURS[loss]:
        assert breaches(ours.build(loss, form), case) == []


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (lambda batch: 1.01 * vicreg(batch), "its value is"),
        (lambda batch: vicreg(batch) + (batch.stack[0, 0, 0] - batch.stack[0, 0, 0].detach()), "points elsewhere"),
        (lambda batch: vicreg(batch).detach() + (vicreg(batch) - vicreg(batch).detach()) / 2, "0.50000 times as long"),
    ],
    ids=["value", "direction", "length"],
)
def test_peer_that_computes_something_else_is_wrong(peer, reason):
    assert any(reason in words for words in breaches(Contestant(peer, stack_of, ""), SMALL))


def test_constants_of_a_definition_are_no_breach():
    doubled = Contestant(lambda batch: 3 + 2 * vicreg(batch), stack_of, "", factor=2.0, offset=3.0)
    assert breaches(doubled, SMALL) == []
    assert breaches(Contestant(doubled.loss, stack_of, ""), SMALL)


def test_beyond_two_views_a_peer_is_held_against_the_form_it_names():
    def pairs(form):
        two_views = lambda a, b: ours.OURS["barlow_twins"]["ours"](type("Two", (), {"stack": torch.stack((a, b))}))
        return peers._of_pairs(two_views, "", form)

    four = Case("barlow_twins", dim=8, views=4, batch=16)
    assert breaches(pairs("ours, pairwise"), four) == []
    assert breaches(pairs("ours"), four)
    assert breaches(pairs(None), four) == []


def test_outcomes_become_records_and_none_ends_the_group(monkeypatch, quick_rounds, tmp_path, capsys):
    def crash(batch):
        raise RuntimeError("out of memory\nand more")

    with_peers(monkeypatch, right=vicreg, wrong=lambda batch: 2 * vicreg(batch), absent=Missing("no such package"),
               broken=crash)  # fmt: skip
    entries = campaign.run_group([SMALL], EXTENT)
    found = {entry.name: record_of(entry, quick=True) for entry in entries}
    assert {name: record["outcome"] for name, record in found.items()} == {
        "ours": "ok", "right": "ok", "wrong": "wrong", "absent": "failed", "broken": "failed", "copy": "ok",
    }  # fmt: skip
    assert found["absent"]["case"]["reason"] == "not installed: no such package"
    assert found["absent"]["case"]["absent"]
    assert found["broken"]["case"]["reason"] == "RuntimeError: out of memory"
    assert found["wrong"]["samples"] == []
    assert (found["right"]["unit"], found["right"]["scope"]) == ("cpu_s_per_call", ["loss"])
    assert [len(found[name]["samples"]) for name in ("ours", "right", "copy")] == [3, 3, 3]
    assert found["right"]["case"]["same_as"] == "ours"
    assert found["right"]["metrics"]["flops"] == found["ours"]["metrics"]["flops"] > 0
    assert "vicreg-d8-a2, wrong: wrong" in capsys.readouterr().err


def test_blocks_hold_every_contestant_of_all_numbers_of_views_once(monkeypatch, quick_rounds):
    with_peers(monkeypatch, right=Contestant(vicreg, stack_of, "", like=None))
    turns, kept = [], campaign._block
    monkeypatch.setattr(campaign, "_block", lambda entry, extent: turns.append(entry) or kept(entry, extent))
    entries = campaign.run_group([SMALL, Case("vicreg", dim=8, views=4, batch=16)], EXTENT)
    blocks = [[id(entry) for entry in turns[start : start + 6]] for start in range(0, 18, 6)]
    assert all(sorted(block) == sorted(map(id, entries)) for block in blocks)
    assert blocks[0] != blocks[1]


def test_contestant_that_needs_more_memory_than_there_is_is_not_tried(monkeypatch, quick_rounds):
    tried = []
    with_peers(monkeypatch, huge=Contestant(tried.append, stack_of, "", needs_bytes=8 << 50))
    entry = next(entry for entry in campaign.run_group([SMALL], EXTENT) if entry.name == "huge")
    assert (entry.outcome, tried) == ("failed", [])
    assert "more than this machine has free" in entry.reason


def test_counts_of_a_product_are_exact():
    a, b = (torch.zeros(*size, requires_grad=True) for size in ((30, 40), (40, 50)))

    def step():
        return torch.autograd.grad((a @ b).sum(), (a, b))

    work = count_work(step)
    assert work["flops"] == 3 * 2 * 30 * 40 * 50
    product, sides, number = 4 * 30 * 50, 4 * (30 * 40 + 40 * 50), 4
    forward = (sides + product) + (product + number)
    backward = 2 * number + 2 * (number + sides)  # a one is made like the loss; each product reads it, expanded
    assert work["moved_bytes"] == forward + backward
    assert peak_bytes(step, "cpu") == pytest.approx(product + sides, abs=64)


def test_products_into_what_is_there_count_as_well():
    total, a, b = torch.zeros(30, 50), torch.zeros(30, 40), torch.zeros(40, 50)
    for step in (lambda: total.addmm_(a, b), lambda: torch.mm(a, b, out=total), lambda: torch.addmm(total, a, b)):
        assert count_work(step)["flops"] == 2 * 30 * 40 * 50


def test_peak_is_that_of_what_lives_at_once():
    def one_after_the_other():
        for _ in range(5):
            torch.zeros(1000).add_(1)

    def together():
        return [torch.zeros(1000) for _ in range(5)]

    assert peak_bytes(one_after_the_other, "cpu") == pytest.approx(4000, abs=200)
    assert peak_bytes(together, "cpu") == pytest.approx(20000, abs=200)


def test_embeddings_are_the_same_memory_for_all_and_differ_from_batch_to_batch():
    first, second = batches(SMALL, 2)
    assert [view.data_ptr() for view in first.views] == [first.stack[a].data_ptr() for a in range(2)]
    assert not torch.equal(first.stack, second.stack)
    assert all(leaf.is_leaf and leaf.requires_grad for leaf in (*views_of(first), *stack_of(first)))
    correlation = torch.corrcoef(torch.stack([view.flatten() for view in first.views]))[0, 1]
    assert 0.5 < correlation < 1


def test_absent_peer_is_missing_and_not_a_crash(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    for name in [name for name in sys.modules if name.split(".")[0] == "solo"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(Missing, match="solo-learn is not installed"):
        peers._solo.__wrapped__("losses.barlow")


def test_command_appends_records_and_prints_them(monkeypatch, quick_rounds, tmp_path, capsys):
    with_peers(monkeypatch, absent=Missing("no such package"))
    monkeypatch.setattr(bench_losses, "cases", lambda device, quick: [SMALL])
    file = tmp_path / "losses.jsonl"
    monkeypatch.setattr(sys, "argv", ["bench_losses", "--records", str(file), "--json", "--blocks", "1"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert bench_losses.main() == 0  # what is not installed is no failure
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == read_records([file])
    assert [record["case"]["contestant"] for record in read_records([file])] == ["ours", "absent", "copy"]


def test_unknown_case_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench_losses", "--cases", "vicreg", "vicgre"])
    with pytest.raises(SystemExit, match="--cases vicgre: unknown"):
        bench_losses._chosen(bench_losses._parse())


def test_pairs_are_unordered_and_averaged():
    batch = batches(Case("vicreg", dim=2, views=3, batch=2), 1)[0]
    mean = peers._pairs(nn.MSELoss())(batch)
    a, b, c = batch.views
    assert mean.item() == pytest.approx(sum(((x - y) ** 2).mean().item() for x, y in ((a, b), (a, c), (b, c))) / 3)


@pytest.mark.parametrize("views", [2, 4])
@pytest.mark.parametrize(("loss", "name"), [(loss, name) for loss, found in peers.PEERS.items() for name in found])
def test_peers_that_are_installed_compute_what_ours_computes(loss, name, views, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(bench_losses.ROOT / ".venv-peers")])
    probe = probe_of(Case(loss, dim=512, views=1 if loss == "diet" else views, rows=1000 if loss == "diet" else 0))
    try:
        peer = peers.PEERS[loss][name](probe)
    except Missing as error:
        pytest.skip(str(error))
    assert breaches(peer, probe) == []
