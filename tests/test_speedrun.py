"""A race to a fixed accuracy: which rung, and what counts as reached."""

import pytest
from tiny_runs import tiny

from fastssl.errors import InputError
from fastssl.recipes.speedrun import LADDERS
from fastssl.speedrun import race, rung


def test_rung_is_the_lowest_that_is_not_below_the_target():
    assert rung(LADDERS, "cifar10", "gpu", 85.6)[0] == 85.6
    assert rung(LADDERS, "cifar10", "gpu", 81)[0] == 85.6
    target, recipe = rung(LADDERS, "cifar10", "cpu", 50)
    assert (target, recipe.name) == (50, "cifar10-speedrun-cpu-50")


@pytest.mark.parametrize(("dataset", "target", "words"), [
    ("mnist", 50, "dataset='mnist' has no ladder"),
    ("cifar10", 99, "target=99 is above the cpu ladder"),
])  # fmt: skip
def test_race_that_has_no_ladder_is_refused(dataset, target, words):
    with pytest.raises(InputError, match=words):
        rung(LADDERS, dataset, "cpu", target)


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
def test_ladders_count_steps_and_probe_once(machine):
    """A budget in seconds would make accuracy depend on the machine."""
    for target, make in LADDERS["cifar10"][machine].items():
        recipe = make()
        assert recipe.budget_s is None
        assert recipe.probe.probes == 1
        assert recipe.name.endswith(f"-{machine}-{target:g}")


def test_one_seed_that_misses_is_a_miss(tiny_dataset, tmp_path):
    easy = race(tiny(epochs=1), 0.0, range(2), tmp_path, say=lambda line: None)
    assert easy.reached
    assert len(easy.rows) == 2
    between = 100 * max(result.metrics["ridge"] for result in easy.results)
    assert not race(tiny(epochs=1), between + 1e-6, range(2), tmp_path, say=lambda line: None).reached
