"""A step of every method beside the supervised one: passes of the network counted, times positive."""

import pytest

from fastssl.methods import METHODS
from fastssl.step_costs import counted_costs, step_costs


def test_passes_are_those_of_views_and_slow_copies():
    passes = counted_costs()
    assert list(passes) == list(METHODS)
    two_views = {"simclr", "cissl", "directclr", "spectral", "idealized", "barlow_twins", "vicreg", "simsiam", "swav"}
    assert {kind for kind, cost in passes.items() if cost == pytest.approx(2)} == two_views | {"dissl"}
    for kind in ("moco_v3", "byol", "dino"):  # a slow copy that looks at both views and learns nothing
        assert passes[kind] == pytest.approx(2 + 2 / 3)
    assert (passes["diet"], passes["supervised"], passes["random"]) == pytest.approx((1, 1, 1 / 3))


def test_steps_are_timed_beside_the_supervised_one():
    seen = []
    costs = step_costs("nano", 4, progress=lambda done, total: seen.append((done, total)))
    assert list(costs) == [*(kind for kind in METHODS if kind != "random"), "random"]
    assert costs["supervised"]["relative"] == 1
    assert all(cost["step_s"] > 0 for kind, cost in costs.items() if kind != "random")
    assert seen[-1][0] == seen[-1][1] == len(seen)
