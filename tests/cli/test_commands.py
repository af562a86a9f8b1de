"""Each command does its job through the front door, in words and as one JSON document."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from fastssl.augment.presets import PRESETS, get_preset
from fastssl.cli import COMMANDS
from fastssl.data.order import epoch_order
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.telemetry.environment import quick_precision

SUBCOMMANDS = [("beton", action) for action in ("write", "inspect", "verify", "export")]


@pytest.mark.parametrize("command", [(c,) for c in COMMANDS] + [*SUBCOMMANDS, ("report", "budget")], ids=" ".join)
def test_help_shows_an_example(fastssl, command):
    outcome = fastssl(*command, "--help")
    assert outcome.status == 0
    assert f"fastssl {command[0]}" in outcome.out.split("Example:")[1]


def test_usage_lists_every_command(fastssl):
    assert fastssl().status == 2
    outcome = fastssl("--help")
    assert outcome.status == 0
    assert all(f"\n  {command}" in outcome.out for command in COMMANDS)


@pytest.mark.parametrize(("arguments", "absent"), [
    (["--help"], {"torch"}),
    (["views", "--list"], {"ffcv", "numba", "matplotlib", "fastssl.data"}),
])  # fmt: skip
def test_words_alone_do_not_wait_for_what_they_do_not_use(arguments, absent):
    script = f"import sys; from fastssl.cli import main; main({arguments}); assert not {absent} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.parametrize("arguments", [["--help"], ["views", "--list"], ["views", "--list", "--help"]], ids=" ".join)
def test_reader_that_leaves_early_is_no_failure_worth_a_line(arguments):
    """As `fastssl ... | head` does: from `print`, from the console, from the parser's help."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "fastssl.cli", *arguments], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.fixture
def written(fastssl, tiny_beton, tmp_path):
    """The tiny dataset under the name that the demo recipes use, written through the command line."""
    assert fastssl("beton", "export", tiny_beton(64), "images").status == 0
    documents = []
    for split in ("train", "test"):
        arguments = ["--root", "images", "--split", split, "--out", f"betons/demo-{split}.beton"]
        outcome = fastssl("beton", "write", "folder", *arguments, "--json")
        assert outcome.status == 0, outcome.err
        documents.append(outcome.document)
    return documents


def test_beton_commands_agree_with_one_another(fastssl, written):
    written_train = written[0]
    assert written_train["samples"] == 64
    assert {"samples", "bytes", "seconds", "fingerprint"} <= written_train.keys()
    inspected = fastssl("beton", "inspect", "betons/demo-train.beton", "--sheet", "sheet.png", "--json")
    verified = fastssl("beton", "verify", "betons/demo-train.beton", "--json")
    assert inspected.document["fingerprint"] == verified.document["fingerprint"] == written_train["fingerprint"]
    assert inspected.document["num_samples"] == 64


def test_contact_sheet_is_a_png_of_some_size(fastssl, written, tmp_path):
    fastssl("beton", "inspect", "betons/demo-train.beton", "--sheet", "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_views_draws_a_sheet(fastssl, written, tmp_path):
    outcome = fastssl("views", "demo", "--views", "3", "--images", "2", "--out", "views.png", "--json")
    assert outcome.status == 0, outcome.err
    assert len(outcome.document["index"]) == 2
    assert (tmp_path / "views.png").read_bytes()[:4] == b"\x89PNG"


def test_views_draws_images_of_several_sizes_in_the_order_of_a_run(fastssl, mixed_beton, tmp_path):
    outcome = fastssl(
        "views", mixed_beton(22), "--spec", "swav", "--size", "32", "--images", "3", "--seed", "4", "--json"
    )
    assert outcome.status == 0, outcome.err
    assert outcome.document["index"] == epoch_order(4, 0, 22)[:3].tolist()
    assert (tmp_path / "views.png").read_bytes()[:4] == b"\x89PNG"


def test_views_lists_the_presets(fastssl):
    outcome = fastssl("views", "--list", "--json")
    assert outcome.status == 0
    assert list(outcome.document["presets"]) == list(PRESETS)
    assert all(f"{name} " in outcome.out for name in PRESETS)


@pytest.mark.parametrize("spec", [["--spec", "dino", "--size", "32"], ["--spec", "simclr", "--strength", "0.3"]])
def test_views_draws_a_preset(fastssl, written, tmp_path, spec):
    outcome = fastssl("views", "demo", *spec, "--images", "1", "--backend", "reference", "--out", "views.png")
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "views.png").read_bytes()[:4] == b"\x89PNG"


def test_help_on_training_names_the_recipes_in_words(fastssl):
    out = fastssl("train", "--help").out
    assert "`fastssl train RECIPE --help`" in " ".join(out.split())
    assert "pyright" not in out
    assert all(name in out for name in RECIPES)


@pytest.mark.parametrize("command", [["views"], ["parity"], ["train", "demo-simclr"]], ids=" ".join)
def test_help_on_the_flags_of_a_view_is_for_users(fastssl, command):
    out = fastssl(*command, "--help").out
    assert "view options" in out
    assert not [word for word in ("Hashable", "first options", "spec options", "more_specs") if word in out]


def test_help_on_training_shows_a_preset_with_a_strength(fastssl):
    out = " ".join(fastssl("train", "demo-simclr", "--help").out.split())
    assert "Example: fastssl train demo-simclr --spec simclr --strength 0.5" in out
    assert "--spec NAME" in out
    assert "--strength FLOAT" in out


def test_help_of_a_recipe_shows_the_numbers_of_the_preset_and_no_flag_of_the_other_views(fastssl):
    out = " ".join(fastssl("train", "demo-simclr", "--spec", "byol", "--help").out.split())
    assert "--blur-p FLOAT (default: 1.0)" in out
    assert "--more-specs" not in out


TINY = ["--batch-size", "16", "--epochs", "2", "--probes", "1", "--knn-k", "5", "--device", "cpu"]


def test_train_then_report(fastssl, written, tmp_path):
    trained = fastssl("train", "demo-barlow", *TINY, "--projector-dim", "16", "--json")
    assert trained.status == 0, trained.err
    assert trained.document["budget"]["steps"] == 8
    assert "views/s" in trained.out
    reported = fastssl("report", "budget", "runs", "--out", "curve", "--json")
    assert reported.status == 0, reported.err
    assert {p.name for p in tmp_path.glob("curve.*")} == {"curve.png", "curve.svg", "curve.csv", "curve.md"}
    (row,) = [row for row in reported.document["rows"] if row["method"] == "barlow_twins"]
    assert row["ridge"] == trained.document["metrics"]["ridge"]


@pytest.mark.parametrize(("preset", "flags", "sizes"), [
    ("byol", ["--blur-p", "0.25"], [32, 32]),
    ("swav", ["--views", "9"], [32] * 2 + [14] * 6 + [32]),
    ("simclr", ["--strength", "0.5", "--size", "24", "--views", "3"], [24] * 3),
])  # fmt: skip
def test_train_with_a_preset_keeps_its_specs_in_the_run(fastssl, written, tmp_path, preset, flags, sizes):
    trained = fastssl("train", "demo-simclr", *TINY, "--spec", preset, *flags, "--json")
    assert trained.status == 0, trained.err
    recipe = Recipe.from_json(json.loads(next(tmp_path.glob("runs/*/recipe.json")).read_text())["recipe"])
    assert [spec.size for spec in recipe.specs((0.5,) * 3, (0.2,) * 3)] == sizes
    strength = 0.5 if preset == "simclr" else None
    first, *more = get_preset(preset, size=sizes[0], strength=strength)
    assert recipe.more_specs == tuple(more)
    assert recipe.spec == (replace(first, blur_p=0.25) if preset == "byol" else first)
    shown = " + ".join(f"{sizes.count(size)} x {size}" for size in dict.fromkeys(sizes))
    assert f"simclr, {shown} px" in trained.out


def test_train_refuses_a_run_that_exists_until_told(fastssl, written):
    assert fastssl("train", "demo-vicreg", *TINY).status == 0
    assert "is finished" in fastssl("train", "demo-vicreg", *TINY).out
    assert "epoch" in fastssl("train", "demo-vicreg", *TINY, "--fresh").out


def test_train_shows_the_path_it_took(fastssl, written):
    out = fastssl("train", "demo-simclr", *TINY, "--backend", "reference").out
    for part in ("method    simclr", "loader    resident", "augment   reference", "channels-last"):
        assert part in out
    assert f", {quick_precision('cpu')}, " in out


def test_doctor_never_fails(fastssl):
    outcome = fastssl("doctor", "--no-measure", "--json")
    assert outcome.status == 0, outcome.err
    assert "torch" in outcome.out
    assert outcome.document["versions"]["torch"]
