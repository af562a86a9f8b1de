"""Two files or two commits: what is slower beyond the threshold ends with 1 and a line that names it."""

import json
import sys

import pytest

from benchmarks import compare
from fastssl.telemetry.records import append_record, new_record

CLOCK = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
         "device": "cpu"}  # fmt: skip
BUDGET = dict.fromkeys(("gpu_h", "views", "images", "steps", "flops", "joules"))


def campaign(path, ms):
    """Six blocks of `ms` CPU milliseconds per image of each contestant, a tenth apart."""
    for contestant, middle in ms.items():
        samples = [1e-3 * middle * factor for factor in (0.95, 0.97, 0.99, 1.01, 1.03, 1.05)]
        record = new_record(
            suite="load", case={"name": "jpeg-2x224", "contestant": contestant}, scope=["decode"], samples=samples,
            unit="cpu_s_per_image", clock={**CLOCK, "wall_s_per_image": samples}, budget=BUDGET, metrics={},
            dataset={"id": "photographs", "fingerprint": "ab"},
        )  # fmt: skip
        append_record(path, record)
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    return compare.main()


def test_slower_by_more_than_the_threshold_fails_by_name(tmp_path, monkeypatch, capsys):
    base = campaign(tmp_path / "old.jsonl", {"crops": 1.0, "threads": 1.4, "decode": 0.9})
    new = campaign(tmp_path / "new.jsonl", {"crops": 1.5, "threads": 1.4, "decode": 0.9})
    assert run(monkeypatch, base, "--new", new, "--json", tmp_path / "ratios.json") == 1
    said = capsys.readouterr()
    assert "slower by more than 10%: load jpeg-2x224: crops" in said.err
    assert "load jpeg-2x224: crops: 1.500 (1.357 to 1.658) times the base's CPU time" in said.out
    assert "decode: 1.000 (0.905 to 1.105) times the base's CPU time (ceiling)" in said.out
    found = {row["path"]: row["ok"] for row in json.loads((tmp_path / "ratios.json").read_text())}
    assert found == {"load jpeg-2x224: crops": False, "load jpeg-2x224: threads": True, "load jpeg-2x224: decode": True}


@pytest.mark.parametrize(("ms", "threshold"), [(1.05, 0.1), (1.5, 1.0), (0.5, 0.1)], ids=["noise", "allowed", "faster"])
def test_what_is_within_the_bound_passes(tmp_path, monkeypatch, ms, threshold):
    base = campaign(tmp_path / "old.jsonl", {"crops": 1.0})
    new = campaign(tmp_path / "new.jsonl", {"crops": ms})
    assert run(monkeypatch, base, "--new", new, "--threshold", threshold) == 0


def test_a_slower_ceiling_is_the_machine_and_no_failure(tmp_path, monkeypatch):
    base, new = (campaign(tmp_path / name, {"decode": ms}) for name, ms in (("old.jsonl", 1.0), ("new.jsonl", 2.0)))
    assert run(monkeypatch, base, "--new", new) == 0


def test_files_with_nothing_in_common_say_so(tmp_path, monkeypatch, capsys):
    base, new = (campaign(tmp_path / name, {who: 1.0}) for name, who in (("o.jsonl", "crops"), ("n.jsonl", "ffcv")))
    assert run(monkeypatch, base, "--new", new) == 1
    assert "nothing that both measured" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("nothing.jsonl", "--new", "other.jsonl"), ("{file}",)], ids=["no", "one"])
def test_one_file_alone_is_wrong_use(tmp_path, monkeypatch, capsys, arguments):
    file = campaign(tmp_path / "old.jsonl", {"crops": 1.0})
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *(argument.format(file=file) for argument in arguments))
    assert end.value.code == 2
    assert "two files of records are compared with --new FILE" in capsys.readouterr().err


def test_an_unknown_commit_is_named(monkeypatch):
    with pytest.raises(SystemExit, match="base=no-such-commit is neither a file of records nor a commit here"):
        run(monkeypatch, "no-such-commit")


def test_two_commits_run_in_turn_each_time_anew(monkeypatch, tmp_path, capsys):
    """The same times as its neighbour's, but for the path that got slower."""
    seen = []

    def measure(path, tree, beton):
        seen.append((path, tree))
        return 1.0 if path == "loader" or tree != compare.ROOT else 1.5

    monkeypatch.setattr(compare, "_measure", measure)
    monkeypatch.setattr(compare, "_checked_out", lambda commit, tree: tree)
    assert run(monkeypatch, "HEAD", "--blocks", 6, "--paths", "loader", "augment") == 1
    assert len(seen) == 6 * 2 * 2
    assert {tree for _, tree in seen[:4]} == {tree for _, tree in seen[-4:]}
    assert "slower by more than 10%: augment" in capsys.readouterr().err
