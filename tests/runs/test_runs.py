"""Runs listed, shown and compared: states, damage, prefixes, the command that trains one again."""

import dataclasses
import json
import subprocess
import sys
import time

import pytest

from fastssl.cli import main
from fastssl.cli import train as train_module
from fastssl.cli.parse import parse
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.runs import find_run, read_run
from fastssl.runs.command import arguments_of
from fastssl.runs.diff import diff_runs
from fastssl.train.run_dir import RunDir

SIMCLR = RECIPES["demo-simclr"]()
BYOL = RECIPES["cifar10-byol"]()


def run_json(capsys, *arguments):
    status = main([*map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_states_are_told_apart(make_run):
    done = make_run()
    left = make_run(dataclasses.replace(SIMCLR, seed=1), finished=False, step=30)
    begun = make_run(dataclasses.replace(SIMCLR, seed=2), finished=False, checkpoint=False)
    assert read_run(done).said == "finished"
    assert read_run(left).said == "unfinished, resumable at step 30"
    assert read_run(begun).said == "no checkpoint yet"


def test_a_held_lock_is_seen_and_not_taken(make_run):
    path = make_run(finished=False)
    with RunDir(path).locked():
        assert read_run(path).state == "running"
    assert read_run(path).state == "unfinished"
    with RunDir(path).locked():
        pass


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("recipe.json", b"{", "recipe.json is damaged"),
        ("recipe.json", None, "recipe.json is missing"),
        ("recipe.json", b"[]", "recipe.json is damaged"),
        ("checkpoint.pt", b"PK\x03\x04cut", "checkpoint.pt is damaged"),
        ("checkpoint.pt", None, "finished, but checkpoint.pt is gone"),
        ("records.jsonl", b"no json\n{}\n", "records.jsonl:1 is not JSON"),
    ],
)
def test_damage_is_a_row_that_says_so(make_run, capsys, file, content, said):
    path, other = make_run(), make_run(BYOL)
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content)
    status, document = run_json(capsys, "runs", "list", path.parent)
    rows = {row["run"]: row for row in document["runs"]}
    assert status == 0
    assert rows[other.name]["state"] == "finished"
    assert rows[path.name]["state"] == "damaged"
    assert said in rows[path.name]["damage"]


def test_a_line_that_is_being_written_is_left_out(make_run):
    path = make_run(finished=False)
    with (path / "records.jsonl").open("ab") as handle:
        handle.write(b'{"schema": 1, "suite": "tr')
    run = read_run(path)
    assert run.state == "unfinished"
    assert len(run.points) == 2


def test_list_sorts_filters_and_groups_seeds(make_run, capsys):
    one = make_run(ridge=0.4)
    two = make_run(dataclasses.replace(SIMCLR, seed=1), ridge=0.6)
    other = make_run(BYOL, ridge=0.5, finished=False)
    _, document = run_json(capsys, "runs", "list", one.parent)
    arms = {row["run"]: row["recipe"] for row in document["runs"]}
    assert arms[one.name] == arms[two.name] != arms[other.name]
    _, document = run_json(capsys, "runs", "list", one.parent, "--sort", "accuracy")
    assert [row["run"] for row in document["runs"]] == [two.name, other.name, one.name]
    for flags in (["--method", "byol"], ["--dataset", "cifar10"], ["--state", "unfinished"]):
        _, document = run_json(capsys, "runs", "list", one.parent, *flags)
        assert [row["run"] for row in document["runs"]] == [other.name]


def test_a_list_of_a_hundred_runs_takes_no_torch_and_under_a_second(make_run):
    for seed in range(100):
        make_run(dataclasses.replace(SIMCLR, seed=seed))
    folder = make_run().parent
    code = (
        "import sys, time; from fastssl.cli.runs import List; from fastssl.cli.console import Console\n"
        "from pathlib import Path; began = time.process_time()\n"
        f"rows = List(roots=(Path({str(folder)!r}),)).run(Console())['runs']\n"
        "print(len(rows), 'torch' in sys.modules, time.process_time() - began)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    num, has_torch, spent_s = done.stdout.splitlines()[-1].split()
    assert (num, has_torch) == ("100", "False")
    assert float(spent_s) < 1


CHANGED = {
    "as named": SIMCLR,
    "numbers, a tuple, None": dataclasses.replace(
        SIMCLR,
        seed=3,
        epochs=None,
        budget_s=12.5,
        compile=True,
        spec=dataclasses.replace(SIMCLR.spec, size=16, crop_scale=(0.1, 0.9), mean=(0.1, 0.2, 0.3)),
        optim=dataclasses.replace(SIMCLR.optim, lr=0.1, exclude_norm_and_bias=False),
        method=dataclasses.replace(SIMCLR.method, temperature=0.7),
    ),
    "another name": dataclasses.replace(SIMCLR, name="mine", views=4),
    "several specs": RECIPES["cifar10-dino"](),
}


@pytest.mark.parametrize("recipe", CHANGED.values(), ids=CHANGED)
def test_the_command_shown_makes_the_very_recipe(recipe):
    arguments = arguments_of(recipe)
    assert arguments is not None
    command = parse(train_module, arguments, "fastssl train").recipe
    fields = {f.name: getattr(command, f.name) for f in dataclasses.fields(Recipe)}
    made = Recipe(**{**fields, "more_specs": tuple(command.more_specs)})
    assert made.identity() == recipe.identity()
    assert made.name == recipe.name


def test_views_of_a_preset_are_named_in_the_command():
    from fastssl.augment.presets import get_preset

    specs = get_preset("byol", size=32)
    recipe = dataclasses.replace(SIMCLR, spec=specs[0], more_specs=specs[1:])
    assert "--spec" in (arguments_of(recipe) or [])


def test_views_that_no_flags_make_have_no_command():
    odd = dataclasses.replace(SIMCLR.spec, hue=0.0123)
    assert arguments_of(dataclasses.replace(SIMCLR, more_specs=(odd,))) is None


def test_show_tells_changes_probes_and_files(make_run, capsys):
    path = make_run(dataclasses.replace(SIMCLR, batch_size=48))
    (path / "probes.jsonl").write_text("{}\n{}\n")
    status, shown = run_json(capsys, "runs", "show", path)
    assert status == 0
    assert shown["changes"] == {"batch_size": ["48", "64"]}
    assert shown["command"] == "fastssl train demo-simclr --batch-size 48"
    assert [point["step"] for point in shown["probes"]] == [10, 20]
    assert shown["others"] == {"probes.jsonl": 2}
    assert shown["checkpoint"] == str(path / "checkpoint.pt")


def test_diff_tells_what_changed_and_no_more(make_run):
    one, two = make_run(ridge=0.5), make_run(dataclasses.replace(SIMCLR, batch_size=48), ridge=0.53)
    found = diff_runs(read_run(one), read_run(two))
    assert found["recipe"] == {"batch_size": [64, 48]}
    assert found["data"] == found["environment"] == {}
    ridge = found["results"]["ridge"]
    assert ridge["difference"] == pytest.approx(0.03)
    assert ridge["difference_se"] == pytest.approx(0.02 * 2**0.5)
    assert ridge["within_error"]


def test_a_difference_beyond_the_error_is_called_so(make_run, capsys):
    one, two = make_run(ridge=0.5), make_run(dataclasses.replace(SIMCLR, batch_size=48), ridge=0.7)
    assert main(["runs", "diff", str(one), str(two)]) == 0
    out = capsys.readouterr().out
    assert "+20.00 points (standard error 2.83): more than the probe's error" in out
    assert "kNN: 30.00% -> 30.00%, +0.00 points (standard error 1.41): within the probe's error" in out


def test_a_run_is_found_by_the_beginning_of_id_or_hash(make_run):
    one, two = make_run(), make_run(dataclasses.replace(SIMCLR, seed=1))
    digits = one.name.rpartition("-")[2]
    assert find_run(digits, one.parent) == one
    assert find_run(one.name[:-4], one.parent) == one
    with pytest.raises(InputError) as caught:
        find_run("demo-simclr", one.parent)
    assert one.name in str(caught.value)
    assert two.name in str(caught.value)


@pytest.mark.parametrize("action", [["show", "none"], ["diff", "none", "none"], ["list", "nowhere"]])
def test_what_is_no_run_is_one_line(tmp_path, monkeypatch, capsys, action):
    monkeypatch.chdir(tmp_path)
    assert main(["runs", *action]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert action[1] in line


def test_a_damaged_recipe_does_not_compare(make_run, capsys):
    one, two = make_run(), make_run(BYOL)
    (one / "recipe.json").write_text("{")
    assert main(["runs", "diff", str(one), str(two)]) == 1
    assert "recipe.json is damaged" in capsys.readouterr().err
    assert main(["runs", "show", str(one)]) == 0


def test_a_checkpoint_runs_no_code(make_run, tmp_path):
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self):
            return time.sleep, (30,)

    path = make_run()
    with zipfile.ZipFile(path / "checkpoint.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"position": {"step": 5}, "evil": Evil()}))
    began = time.monotonic()
    assert read_run(path).position == {"step": 5}
    assert time.monotonic() - began < 10
