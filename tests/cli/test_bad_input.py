"""Bad input for each command: one clear line on standard error, exit status 1 or 2, nothing left behind."""

import numpy as np
import pytest

USED_WRONGLY, FAILED = 2, 1

CASES = [
    (["dcotor"], USED_WRONGLY, "command='dcotor' is unknown; did you mean 'doctor'"),
    (["doctor", "--colour"], USED_WRONGLY, "--colour"),
    (["beton"], USED_WRONGLY, "write"),
    (["beton", "wirte", "demo"], USED_WRONGLY, "wirte"),
    (["beton", "write", "cifar11"], FAILED, "dataset='cifar11' is unknown; did you mean cifar10"),
    (["beton", "write", "folder", "--root", "nowhere"], FAILED, "root=nowhere"),
    (["beton", "write", "folder"], FAILED, "give root"),
    (["beton", "write", "folder", "--archive", "gone.tar.zst"], FAILED, "gone.tar.zst"),
    (["beton", "write", "demo", "--quality", "0"], USED_WRONGLY, "quality=0"),
    (["beton", "write", "demo", "--mode", "gif"], USED_WRONGLY, "gif"),
    (["beton", "write", "demo", "--fraction", "2"], USED_WRONGLY, "fraction=2"),
    (["beton", "write", "demo", "--split", "test", "--out", "."], FAILED, "is a folder"),
    (["beton", "write", "demo", "--root", "."], FAILED, "<split>/<class>/<image>"),
    (["report", "budget", ".", "--out", "."], FAILED, "out=. is a folder"),
    (["beton", "inspect", "gone.beton"], FAILED, "gone.beton"),
    (["beton", "verify", "gone.beton"], FAILED, "gone.beton"),
    (["beton", "export", "gone.beton", "out"], FAILED, "gone.beton"),
    (["parity", "demo"], FAILED, "fastssl beton write demo"),
    (["methods", "--cost", "--batch-size", "1"], USED_WRONGLY, "batch_size=1"),
    (["methods", "--cost", "--arch", "resnet19"], USED_WRONGLY, "resnet19"),
    (["bench", "laod"], USED_WRONGLY, "laod"),
    (["bench", "load", "--device", "cuda"], USED_WRONGLY, "device=cuda has no effect on load; it has --case"),
    (["bench", "augment", "--full"], USED_WRONGLY, "full=True has no effect on augment"),
    (["bench", "load", "HEAD~1"], USED_WRONGLY, "base=HEAD~1 has no effect on load; give it to compare"),
    (["bench", "compare"], USED_WRONGLY, "base is missing; give a commit (HEAD~1) or a file of records"),
    (["bench", "compare", "no-such-commit"], FAILED, "base=no-such-commit could not be compared"),
    (["bench", "write", "--contestants", "tarball"], USED_WRONGLY, "benchmarks.bench_write was used wrongly"),
    (["compare", "demo-sim*", "cifar10-nono-*"], USED_WRONGLY, "recipe='cifar10-nono-*' is unknown; did you mean"),
    (["compare", "demo-random", "--seeds", "0"], USED_WRONGLY, "seeds=0"),
    (["compare", "demo-random", "--seconds", "-1"], USED_WRONGLY, "seconds=-1"),
    (["parity", "demo", "--loaders", "fcv"], FAILED, "fcv"),
    (["views", "demo"], FAILED, "fastssl beton write demo"),
    (["views", "demo", "--views", "0"], FAILED, "views=0"),
    (["views", "demo", "--views=-1", "--spec", "byol"], FAILED, "views=-1"),
    (["views", "demo", "--spec", "byoll"], USED_WRONGLY, "spec='byoll' is unknown; did you mean 'byol'? known: simclr"),
    (["views", "demo", "--spec", "--out", "x.png"], USED_WRONGLY, "--spec has nothing after it; give the name of a"),
    (["views", "demo", "--spec="], USED_WRONGLY, "--spec has nothing after it"),
    (["views", "demo", "--spec", "byol", "--size"], USED_WRONGLY, "--size has nothing after it; give a number of pix"),
    (["views", "demo", "--spec", "byol", "--size", "inf"], USED_WRONGLY, "size=inf is not a whole number"),
    (["views", "demo", "--spec", "byol", "--size=nan"], USED_WRONGLY, "size=nan is not a whole number"),
    (["views", "demo", "--spec", "byol", "--size", "32.5"], USED_WRONGLY, "size=32.5 is not a whole number"),
    (["views", "demo", "--spec", "simclr", "--strength", "nan"], USED_WRONGLY, "strength=nan is outside the preset"),
    (["views", "demo", "--out", "sheet.jpg"], FAILED, "out=sheet.jpg does not end in .png"),
    (["views", "demo", "--spec", "byol", "--strength", "1"], USED_WRONGLY, "strength=1.0 has no effect"),
    (["views", "demo", "--strength", "1"], USED_WRONGLY, "strength=1 has no effect without a preset; give --spec"),
    (["views", "demo", "--spec", "byol", "--size", "4"], USED_WRONGLY, "size=4 is too small"),
    (["views", "demo", "--backend", "gpu"], FAILED, "backend='gpu' is unknown"),
    (["train", "demo-simclr", "--spec", "byoll"], USED_WRONGLY, "spec='byoll' is unknown; did you mean 'byol'?"),
    (["train", "demo-simclr", "--strength", "1"], USED_WRONGLY, "give --spec NAME"),
    (["train", "demo-simclr", "--spec=simclr", "--strength=strong"], USED_WRONGLY, "strength=strong is not a number"),
    (["train", "demo-simclr", "--spec", "simclr", "--strength", "9"], USED_WRONGLY, "give 0 to 2"),
    (["train", "demo-simclr", "--spec"], USED_WRONGLY, "--spec has nothing after it; give the name of a preset"),
    (["train", "demo-simclr", "--spec", "byol", "--size", "inf"], USED_WRONGLY, "size=inf is not a whole number"),
    (["train", "demo-simclr", "--spec", "swav", "--size", "16"], USED_WRONGLY, "size=7 is too small a view for arch"),
    (["train", "demo-simclr", "--spec", "swav", "--views", "4"], USED_WRONGLY, "views=4 leaves some of the 8 specs"),
    (["train", "cifar10-nano-simclr", "--epochs", "5"], USED_WRONGLY, "epochs=5"),
    (["train", "demo-simclr", "--knn-k", "0"], USED_WRONGLY, "knn_k=0"),
    (["train"], USED_WRONGLY, "demo-simclr"),
    (["train", "demo-simlcr"], USED_WRONGLY, "demo-simlcr"),
    (["train", "demo-simclr"], FAILED, "fastssl beton write demo"),
    (["train", "demo-simclr", "--viewz", "2"], USED_WRONGLY, "--viewz"),
    (["train", "demo-simclr", "--views", "two"], USED_WRONGLY, "two"),
    (["train", "demo-simclr", "--batch-size", "1"], USED_WRONGLY, "batch_size=1"),
    (["train", "demo-simclr", "--lr", "-1"], USED_WRONGLY, "lr=-1"),
    (["train", "demo-simclr", "--flip-p", "1.5"], USED_WRONGLY, "flip_p=1.5"),
    (["train", "--resume", "runs/none"], FAILED, "resume=runs/none is not a run"),
    (["report", "budget", "nothing"], FAILED, "nothing"),
    (["report", "buget", "nothing"], USED_WRONGLY, "buget"),
    (["demo", "--seconds", "-3"], FAILED, "budget_s=-3"),
]


@pytest.mark.parametrize(("arguments", "status", "substance"), CASES, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_clear_line(fastssl, tmp_path, arguments, status, substance):
    outcome = fastssl(*arguments)
    lines = outcome.err.strip().splitlines()
    assert outcome.status == status, outcome
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("fastssl: ")
    assert substance in lines[0]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(("arguments", "status", "substance"), CASES[:6], ids=lambda value: str(value)[:40])
def test_bad_input_has_its_json_document_too(fastssl, arguments, status, substance):
    outcome = fastssl(*arguments, "--json")
    assert outcome.status == status
    assert outcome.document["ok"] is False
    assert substance in outcome.document["error"]


@pytest.mark.parametrize(
    ("flags", "substance"),
    [
        (["--views", "1"], "views=1"),
        (["--num-negatives", "99999"], "num_negatives=99999"),
        (["--test-split", "val"], "val"),
    ],
)
def test_recipe_refused_by_its_parts_leaves_no_run_behind(
    fastssl, tiny_dataset, tmp_path, monkeypatch, flags, substance
):
    monkeypatch.setenv("FASTSSL_BETONS", str(tiny_dataset.parent))
    outcome = fastssl("train", "demo-simclr", "--dataset", "tiny", "--batch-size", "16", *flags)
    assert outcome.status == FAILED
    assert substance in outcome.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "substance"),
    [
        (["views", "tiny", "--images", "100000"], "images=100000 is more than the 64 of tiny; give 64 or less"),
        (["parity", "tiny", "--loaders", "resident", "--no-antialias"], "antialias=False has no reference"),
    ],
)
def test_request_that_does_not_suit_the_dataset_names_the_flag(
    fastssl, tiny_dataset, tmp_path, monkeypatch, arguments, substance
):
    monkeypatch.setenv("FASTSSL_BETONS", str(tiny_dataset.parent))
    outcome = fastssl(*arguments)
    assert outcome.status == FAILED
    assert outcome.err.startswith(f"fastssl: {substance}")
    assert len(outcome.err.splitlines()) == 1
    assert list(tmp_path.glob("*.png")) == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_damaged_beton_is_one_clear_line(fastssl, tiny_beton, tmp_path, command, damage):
    whole = tiny_beton(20).read_bytes()
    content = {"truncated": whole[: len(whole) // 2], "empty": b"", "foreign": b"\x89PNG\r\n" + bytes(5000)}[damage]
    (tmp_path / "x.beton").write_bytes(content)
    outcome = fastssl("beton", command, "x.beton")
    assert outcome.status == FAILED
    assert len(outcome.err.strip().splitlines()) == 1
    assert "x.beton" in outcome.err


def test_source_with_a_broken_image_leaves_no_beton(fastssl, tmp_path):
    for name in ("cat/a.jpg", "dog/b.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"this is no image")
    outcome = fastssl("beton", "write", "folder", "--root", "images", "--out", "x.beton")
    assert outcome.status == FAILED
    assert "cat/a.jpg" in outcome.err
    assert list(tmp_path.glob("*beton*")) == []


def test_train_on_images_of_several_sizes_by_a_loader_of_one_says_what_to_do(fastssl, tmp_path):
    import cv2

    for i in range(40):
        path = tmp_path / "images" / "train" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((20 + i % 3, 20, 3), i, np.uint8))
    assert fastssl("beton", "write", "folder", "--root", "images", "--out", "betons/demo-train.beton").status == 0
    outcome = fastssl("train", "demo-simclr", "--batch-size", "8", "--loader", "ffcv")
    assert outcome.status == FAILED
    assert "--square" in outcome.err
