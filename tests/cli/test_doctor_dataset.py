"""`fastssl doctor --dataset` through the front door."""

import pytest

from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.views import ViewSpec

USED_WRONGLY, FAILED = 2, 1
SHORT = ("--seconds", "0.002")


@pytest.fixture
def short_recipe(monkeypatch):
    """`demo-simclr` is for a while a recipe that a CPU of any kind runs quickly."""
    made = Recipe(name="demo-simclr", spec=ViewSpec(size=16), batch_size=8, precision="fp32", device="cpu")
    monkeypatch.setitem(RECIPES, "demo-simclr", lambda: made)
    return made


def test_limit_table_and_document(fastssl, tiny_beton, tmp_path, short_recipe):
    path = tiny_beton(30, 48, 40, "jpg")
    outcome = fastssl("doctor", "--dataset", path, "--recipe", "demo-simclr", "--loader", "crops", "--workers", 1,
                      *SHORT, "--out", "doctor.svg", "--json")  # fmt: skip
    assert outcome.status == 0, outcome
    document = outcome.document
    assert document["ok"] is True
    assert {"limit", "stages", "advice", "model"} <= set(document)
    assert f"limit: {document['limit']}" in outcome.out
    assert all(stage["name"] in outcome.out for stage in document["stages"])
    assert document["run"]["recipe"]["data"]["workers"] == 1
    assert [a["gain"] for a in document["advice"]] == sorted((a["gain"] for a in document["advice"]), reverse=True)
    assert all(f"advice {i}: {advice['what']}" in outcome.out for i, advice in enumerate(document["advice"], 1))
    assert (tmp_path / "doctor.svg").read_text().startswith("<?xml")


CASES = [
    (["--dataset", "demo"], FAILED, "fastssl beton write demo"),
    (["--dataset", "gone.beton"], FAILED, "dataset=gone.beton is not a file"),
    (["--dataset", "foreign.beton"], FAILED, "foreign.beton is not"),
    (["--dataset", "torn.beton"], FAILED, "torn.beton is not a whole .beton file"),
    (["--dataset", "demo", "--recipe", "demo-simlcr"], USED_WRONGLY, "recipe='demo-simlcr' is unknown; did you mean"),
    (["--dataset", "demo", "--out", "x.pdf"], FAILED, "out=x.pdf ends in none of .png, .svg"),
    (["--dataset", "demo", "--seconds", "0"], USED_WRONGLY, "seconds=0.0 is no time to measure in"),
    (["--dataset", "demo", "--workers", "0"], FAILED, "workers=0 is not a number of threads"),
    (["--dataset", "demo", "--no-measure"], USED_WRONGLY, "measure=False leaves nothing to say"),
    (["--recipe", "demo-simclr"], USED_WRONGLY, "recipe=demo-simclr has no effect without a dataset"),
    (["--out", "x.png"], USED_WRONGLY, "out=x.png has no effect without a dataset"),
    (["--dataset", "whole.beton", "--loader", "crop"], FAILED, "loader=crop is not examined on cpu"),
]


@pytest.mark.parametrize(("arguments", "status", "substance"), CASES, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_line_and_leaves_nothing(fastssl, tiny_beton, tmp_path, arguments, status, substance):
    content = tiny_beton(30).read_bytes()
    (tmp_path / "whole.beton").write_bytes(content)
    (tmp_path / "torn.beton").write_bytes(content[: len(content) // 2])
    (tmp_path / "foreign.beton").write_bytes(b"\x89PNG\r\n" + bytes(5000))
    outcome = fastssl("doctor", *arguments, "--json")
    assert outcome.status == status, outcome
    assert len(outcome.err.strip().splitlines()) == 1, outcome.err
    assert substance in outcome.err
    assert outcome.document == {"ok": False, "error": outcome.err.strip().removeprefix("fastssl: ")}
    assert {path.name for path in tmp_path.iterdir()} == {"whole.beton", "torn.beton", "foreign.beton"}
