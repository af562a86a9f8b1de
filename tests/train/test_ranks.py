"""Several processes train one model; the quick part. The slow one, under torchrun, is tests/train/test_torchrun.py."""

import dataclasses

import pytest
import torch
from two_ranks import tiny_recipe, training

from fastssl.errors import InputError
from fastssl.train import ranks, setup


def test_gradients_loss_and_logs_become_means_and_a_ranks_own_stay(two_ranks):
    for number, ((shared, own, loss, log), (bad_shared, bad_own, _, _)) in enumerate(two_ranks["averages"]):
        assert torch.equal(shared, torch.tensor([[1.5, 3.5], [2.5, 4.5]]))
        assert torch.equal(own, torch.full((2, 2), 5.0 + number))
        assert (loss.item(), log.item()) == (2.5, 5.0)
        assert bad_shared.isnan().all()  # on both, so that a gradient scaler skips the step on both
        assert bad_own.isinf().all() == bool(number)


def test_what_hangs_on_a_clock_or_a_file_is_the_firsts(two_ranks):
    for found in two_ranks["gathers"]:
        assert found["agreed"] == (1.5, 2.0)
        assert found["on_first"] == "from 0"


def test_checkpoint_brings_each_process_its_own_part_of_a_split_layer(two_ranks):
    (first, _), (second, _) = two_ranks["checkpoints"]
    assert first[0][0]["weight"].shape != second[0][0]["weight"].shape
    assert torch.equal(second[1][0]["bias"], first[0][0]["bias"])  # shared, so all have the first's
    for ((method, moments), (loaded, loaded_moments)), step in two_ranks["checkpoints"]:
        assert step == 7
        assert torch.equal(loaded["weight"], method["weight"])
        for name, value in moments[0].items():
            assert torch.equal(loaded_moments[0][name], value)


@pytest.fixture
def alone(tiny_dataset, tmp_path):
    return training(tmp_path)


def test_run_of_two_processes_ends_with_the_weights_of_one(alone, two_ranks):
    first, second = two_ranks["training"]
    assert first["result"] == second["result"]
    start = setup.build(tiny_recipe()).trainable.method.state_dict()
    for name, value in alone["state"].items():
        assert torch.equal(first["state"][name], second["state"][name])
        moved = (value - start[name]).float().norm()  # without synchronised BatchNorm a twentieth of it is missed
        assert (first["state"][name] - value).float().norm() <= 1e-4 * moved, name
    result, expected = first["result"], alone["result"]
    assert result["metrics"]["loss"] == pytest.approx(expected["metrics"]["loss"], rel=1e-4)
    for count in ("images", "views", "steps"):
        assert result["budget"][count] == expected["budget"][count]
    clock = result["clock"]
    assert clock["world_size"] == 2
    assert result["budget"]["flops"] == pytest.approx(expected["budget"]["flops"], rel=0.01)  # half a batch, twice
    assert result["budget"]["gpu_h"] == pytest.approx(2 * (clock["train_s"] + clock["data_s"]) / 3600)


def test_one_process_waits_for_nobody():
    assert ranks.agreed(1.0, 2.0) == (1.0, 2.0)
    assert ranks.on_first(lambda: "job") == "job"
    ranks.require_same("run", "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 3}, "batch_size=3 leaves 2 processes an image each"),
        ({"data": {"on_error": "skip"}}, "on_error=skip leaves 2 processes batches of different sizes"),
        ({"batch_size": 17}, "batch_size=17 does not divide over world_size=2"),
    ],
)
def test_recipe_that_two_processes_cannot_share_is_refused(change, message, tiny_dataset, monkeypatch):
    recipe = tiny_recipe()
    if "data" in change:
        change = {"data": dataclasses.replace(recipe.data, **change["data"])}
    monkeypatch.setattr(setup, "world_size", lambda: 2)
    with pytest.raises(InputError, match=message):
        setup.build(dataclasses.replace(recipe, **change))


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(InputError, match="LOCAL_RANK=1 has no CUDA device"):
        ranks.own_device()
