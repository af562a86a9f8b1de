"""Kept features are believed only if they are of exactly what is asked for."""

import dataclasses
import os
import shutil

import pytest
import torch

from fastssl.probing.cache import features_of, key_of
from fastssl.probing.passes import Look, settle, show
from fastssl.probing.subject import open_run

LOOK = Look(dataset="tiny", split="test")


@pytest.fixture
def counted(monkeypatch):
    """Layers of every real pass, in order."""
    passes = []

    def counting(subject, look, layers, progress=None):
        passes.append((subject.run.run_id, look, tuple(layers)))
        return show(subject, look, layers, progress)

    monkeypatch.setattr("fastssl.probing.cache.show", counting)
    return passes


def files(run):
    return sorted((run / "features").glob("*.pt"))


def test_the_second_time_nothing_is_shown(runs, counted):
    subject = open_run(runs["simclr"])
    first, again = features_of(subject, LOOK), features_of(subject, LOOK)
    assert len(counted) == 1
    assert torch.equal(first.features["encoder"], again.features["encoder"])
    assert torch.equal(first.labels, again.labels)
    assert first.info == again.info
    features_of(subject, LOOK, fresh=True)
    assert len(counted) == 2


def test_projector_and_encoder_share_what_is_kept(runs, counted):
    features_of(open_run(runs["simclr"]), LOOK)
    both = features_of(open_run(runs["simclr"], projector=True), LOOK, ("encoder", "projector"))
    assert [layers for *_, layers in counted] == [("encoder",), ("projector",)]
    assert set(both.features) == {"encoder", "projector"}


@pytest.mark.parametrize(
    "other",
    [
        Look(dataset="tiny", split="train"),
        Look(dataset="tiny", split="test", views=2),
        Look(dataset="tiny", split="test", limit=10),
        Look(dataset="tiny", split="test", views=2, seed=1),
    ],
)
def test_another_look_is_another_file(runs, counted, other):
    subject = open_run(runs["simclr"])
    features_of(subject, LOOK)
    features_of(subject, Look(dataset="tiny", split="test", views=2))
    before = len(counted)
    features_of(subject, other)
    assert len(counted) == before + (other != Look(dataset="tiny", split="test", views=2))


def test_features_of_another_run_under_the_right_name_are_not_taken(runs, counted):
    """What older code of this field did: pick up the features of another seed in silence."""
    features_of(open_run(runs["other"]), LOOK)
    mine = features_of(open_run(runs["simclr"]), LOOK).features["encoder"]
    shutil.copy(files(runs["other"])[0], files(runs["simclr"])[0])
    said = []
    again = features_of(open_run(runs["simclr"]), LOOK, say=said.append).features["encoder"]
    assert torch.equal(mine, again)
    assert len(counted) == 3
    assert "of something else" in said[0]


def test_features_are_of_the_file_that_is_looked_at(runs):
    """Of a run that holds images of train out, too, test features hang on the test file."""
    subject = open_run(runs["simclr"])
    data = dataclasses.replace(subject.recipe.data, holdout=0.25)
    subject = dataclasses.replace(subject, recipe=dataclasses.replace(subject.recipe, data=data))
    prints = {split: key_of(subject, Look(dataset="tiny", split=split), "encoder")["images"]
              for split in ("train", "val", "test")}  # fmt: skip
    assert prints["val"] == prints["train"] != prints["test"]


@pytest.mark.parametrize("damage", ["flip", "info", "cut", "empty", "text"])
def test_damaged_files_are_made_anew(runs, counted, damage):
    subject = open_run(runs["simclr"])
    mine = features_of(subject, LOOK).features["encoder"]
    path = files(runs["simclr"])[0]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        place = content.find(mine.numpy().tobytes()[:64])
        assert place > 0
        content[place + 2] ^= 1
    if damage == "info":  # still JSON, of another number of classes
        place = content.find(b'"num_classes": ')
        assert place > 0
        content[place + 15] ^= 2
    path.write_bytes({"flip": content, "info": content, "cut": content[:500], "empty": b"", "text": b"hello"}[damage])
    said = []
    again = features_of(subject, LOOK, say=said.append).features["encoder"]
    assert torch.equal(mine, again)
    assert "damaged" in said[0]
    assert features_of(subject, LOOK, say=said.append)
    assert len(counted) == 2


def test_other_weights_of_the_run_replace_what_was_kept(runs, counted):
    subject = open_run(runs["simclr"])
    features_of(subject, LOOK)
    features_of(settle(open_run(runs["simclr"], weights="untrained")), LOOK)
    assert len(files(runs["simclr"])) == 2
    shutil.copy(runs["other"] / "checkpoint.pt", runs["simclr"] / "checkpoint.pt")
    features_of(open_run(runs["simclr"]), LOOK)
    names = [path.name for path in files(runs["simclr"])]
    assert len(names) == 2
    assert not any(subject.weights_hash[:12] in name for name in names)


def test_a_full_disk_costs_time_and_nothing_else(runs, counted, monkeypatch):
    def full(path, data):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("fastssl.probing.cache.write_atomically", full)
    said = []
    found = features_of(open_run(runs["simclr"]), LOOK, say=said.append)
    assert found.features["encoder"].shape[0] == 30
    assert "No space left" in said[0]
    assert files(runs["simclr"]) == []
