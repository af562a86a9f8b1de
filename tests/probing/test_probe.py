"""`fastssl probe`: the numbers of training again, every way to look labelled as what it is, and what is refused."""

import json
import shutil

import pytest
import torch

from fastssl.cli import main
from fastssl.errors import InputError
from fastssl.evals import Features, evaluate
from fastssl.probing.finetune import FineTuning, finetune
from fastssl.probing.passes import Look, show
from fastssl.probing.probe import Asked, probe_run, together
from fastssl.probing.subject import open_run
from fastssl.telemetry.records import read_records
from fastssl.train.run_dir import RunDir


def by(records, **case):
    (found,) = [r for r in records if all(r["case"][name] == value for name, value in case.items())]
    return found


def test_a_finished_run_gives_its_own_numbers_again(runs):
    last = read_records([runs["simclr"] / "records.jsonl"])[-1]["metrics"]
    records = list(probe_run(runs["simclr"], Asked()))
    ridge, knn = (by(records, kind=kind)["metrics"] for kind in ("ridge", "knn"))
    assert {name: ridge[name] for name in ("ridge", "ridge_se", "ridge_penalty")} == {
        name: last[name] for name in ("ridge", "ridge_se", "ridge_penalty")
    }
    assert knn["knn_k5"] == last["knn"]  # the run was probed with 5 neighbours


def test_views_layers_and_baseline_are_rows_of_their_own(runs):
    asked = Asked(kind=("ridge",), layers=("encoder", "projector"), views=(0, 3), baseline=True)
    records = list(probe_run(runs["simclr"], asked))
    assert len(records) == 8
    plain, averaged = (by(records, layer="encoder", views=v, weights="trained") for v in (0, 3))
    assert "single undistorted view" in plain["case"]["protocol"]
    assert "mean of the features of 3 views" in averaged["case"]["protocol"]
    assert "undistorted" not in averaged["case"]["protocol"]
    hashes = {(r["case"]["weights"], r["case"]["weights_hash"]) for r in records}
    assert len(hashes) == 2


def test_averaged_views_are_the_mean_of_views(runs):
    subject = open_run(runs["simclr"])
    train, test = (show(subject, Look(dataset="tiny", split=s, views=4)) for s in ("train", "test"))
    assert test.features["encoder"].shape[1] == 4
    by_hand = torch.stack([test.features["encoder"][:, v] for v in range(4)]).sum(0) / 4
    torch.testing.assert_close(together(train, test, "encoder").test_x, by_hand)
    record = next(iter(probe_run(runs["simclr"], Asked(kind=("ridge",), views=(4,)))))
    x = train.features["encoder"].mean(1)
    assert record["metrics"]["ridge"] == evaluate(Features(x, train.labels, by_hand, test.labels, 5))["ridge"]


def test_transfer_is_scored_on_the_other_dataset(runs, trained, tmp_path, monkeypatch, mixed_beton):
    """A dataset of other classes: the run's encoder, the other's labels."""
    betons = tmp_path / "two"
    shutil.copytree(trained[0], betons)
    for split, count in (("train", 40), ("test", 20)):
        for end in (".beton", ".beton.json"):
            shutil.copy(mixed_beton(count).with_suffix(end), betons / f"mixed-{split}{end}")
    monkeypatch.setenv("FASTSSL_BETONS", str(betons))
    record = next(iter(probe_run(runs["simclr"], Asked(kind=("ridge",), dataset="mixed"))))
    assert record["case"]["transfer"] is True
    assert record["dataset"]["num_samples"] == 20
    own = next(iter(probe_run(runs["simclr"], Asked(kind=("ridge",)))))
    assert own["case"]["transfer"] is False
    tuned, test = finetune(open_run(runs["simclr"]), "mixed", FineTuning(epochs=1, min_steps=3))
    assert 0 <= tuned["finetune"] <= 1
    assert len(test.labels) == 20


def test_fine_tuning_learns_repeats_itself_and_leaves_the_run_alone(runs):
    subject = open_run(runs["simclr"])
    before = {name: value.clone() for name, value in subject.encoder.state_dict().items()}
    how = FineTuning(epochs=2, min_steps=40)
    (first, _), (again, _) = (finetune(subject, "tiny", how) for _ in range(2))
    assert first == again
    assert first["finetune"] > 0.8  # the classes are tints
    few, _ = finetune(subject, "tiny", FineTuning(epochs=1, min_steps=2, labels=0.2))
    assert few["finetune_steps"] == 2
    assert all(torch.equal(value, before[name]) for name, value in subject.encoder.state_dict().items())


def test_fine_tuning_of_a_single_image_is_refused_and_does_not_go_round_for_ever(runs, monkeypatch):
    real = finetune.__globals__["open_loader"]
    one = lambda *args, **options: real(
        *args, **{**options, "fraction": 1.0, "indices": str(runs["simclr"] / "one.txt")}
    )
    (runs["simclr"] / "one.txt").write_text("0\n")
    monkeypatch.setitem(finetune.__globals__, "open_loader", one)
    with pytest.raises(InputError, match="leaves 1 image"):
        finetune(open_run(runs["simclr"]), "tiny", FineTuning(labels=0.01))


def test_command_takes_the_beginning_of_an_id(runs, capsys):
    run = runs["simclr"]
    assert main(["probe", run.name[:-2], "--runs-dir", str(run.parent), "--kind", "ridge"]) == 0
    assert (run / "probes.jsonl").is_file()
    assert main(["spectrum", "nobody", "--runs-dir", str(run.parent)]) == 1
    assert "run=nobody is no run" in capsys.readouterr().err


def test_command_prints_appends_and_gives_json(runs, capsys):
    run = runs["simclr"]
    arguments = ["--kind", "ridge", "knn", "--labels", "1.0", "0.5", "--shots", "2", "--draws", "3", "--json"]
    assert main(["probe", str(run), *arguments]) == 0
    out = capsys.readouterr().out.strip().splitlines()
    document = json.loads(out[-1])
    assert {"ridge", "knn", "ridge_labels_0.5", "ridge_shots_2_ci95"} <= set(document["metrics"])
    assert "2 labels per class" in document["protocol"]
    assert [row["probe"] for row in document["rows"]] == ["ridge", "ridge_labels_0.5", "ridge_shots_2", "knn"]
    kept = read_records([run / "probes.jsonl"])
    assert [record["suite"] for record in kept] == ["probe"] * 3


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"labels": (0.0,)}, "labels=0"),
        ({"labels": (1.5,)}, "labels=1.5"),
        ({"shots": (0,)}, "shots=0"),
        ({"draws": 1}, "draws=1"),
        ({"views": (-1,)}, "views=-1"),
        ({"kind": ("knn",), "shots": (2,)}, "not tried with few labels"),
        ({"layers": ()}, "layers=nothing"),
        ({"labels": ()}, "labels=nothing"),
        ({"kind": ("ridge", "knn"), "labels": (0.5,)}, "kind=knn is not tried"),
        ({"kind": ("finetune",), "shots": (2,)}, "shots=.* has no effect"),
        ({"kind": ("finetune",), "views": (4,)}, "views=.* has no effect"),
        ({"shots": (99,)}, "shots=99"),
        ({"layers": ("nowhere",)}, "layer='nowhere'"),
        ({"dataset": "nothing"}, "dataset=nothing"),
        ({"kind": ("finetune",), "finetune_epochs": 0}, "finetune_epochs=0"),
    ],
)
def test_impossible_wishes_are_refused(runs, change, needle):
    with pytest.raises(InputError, match=needle):
        list(probe_run(runs["diet"], Asked(**change)))


def test_a_checkpoint_of_another_shape_is_refused(runs, capsys):
    shutil.copy(runs["diet"] / "checkpoint.pt", runs["simclr"] / "checkpoint.pt")
    assert main(["probe", str(runs["simclr"]), "--layers", "projector"]) == 1
    assert "does not fit its recipe" in capsys.readouterr().err


def test_a_run_trained_anew_forgets_what_was_found_in_the_old_one(runs):
    run = RunDir.existing(runs["simclr"])
    (run.path / "probes.jsonl").write_text("")
    run.begin(*run.read_recipe())
    assert {path.name for path in run.path.iterdir()} <= {"recipe.json", "lock"}
