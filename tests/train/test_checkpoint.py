"""A checkpoint is complete, strict, atomic, and holds numbers only."""

import pickle

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.files import write_atomically
from fastssl.train.checkpoint import Position, Trainable, load_checkpoint, save_checkpoint


def trainable(width=3):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    return Trainable(net, torch.optim.AdamW(net.parameters()), torch.amp.GradScaler("cpu", enabled=False))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "identity", trainable(), Position(step=7), Clock("cpu"))
    return path


def load(path, into, identity="identity"):
    return load_checkpoint(path, identity, into, Clock("cpu"), torch.device("cpu"))


def test_position_comes_back(saved):
    assert load(saved, trainable()).step == 7


def test_missing_or_extra_weights_are_an_error(saved):
    for width in (2, 4):
        with pytest.raises(InputError, match="does not fit"):
            load(saved, trainable(width))
    more = trainable()
    more.method.append(nn.Linear(3, 3))
    with pytest.raises(InputError, match="does not fit"):
        load(saved, more)


def test_checkpoint_of_another_recipe_is_refused(saved):
    with pytest.raises(InputError, match="another recipe"):
        load(saved, trainable(), identity="other")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_truncated_checkpoint_is_refused_in_one_line(saved, keep):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(keep if keep > 1 or keep in (0, 1) else keep * len(content))])
    with pytest.raises(InputError, match="damaged") as refusal:
        load(saved, trainable())
    assert "\n" not in str(refusal.value)


def test_checkpoint_that_carries_code_is_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return (print, ("code ran",))

    path = tmp_path / "checkpoint.pt"
    torch.save({"format": 1, "state": Payload()}, path)
    with pytest.raises(InputError, match="damaged or no checkpoint"):
        load(path, trainable())
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(InputError, match="damaged or no checkpoint"):
        load(path, trainable())


def test_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
