"""At a budget, to a target, over a range, and whether two arms differ: against answers known beforehand."""

import numpy as np
import polars as pl
import pytest
import scipy.stats

from fastssl.report.statistics import (
    area,
    at_budget,
    common_range,
    differences,
    pareto_front,
    reached,
    to_target,
)


def curve(*points, run="a"):
    return pl.DataFrame(
        {"run": run, "step": range(len(points)), "x": [p[0] for p in points], "y": [p[1] for p in points]}
    )


RUN = curve((1.0, 0.2), (3.0, 0.6), (5.0, 0.5), (7.0, 0.9))


def test_between_probes_a_run_is_a_line_and_outside_it_is_nothing():
    assert at_budget(RUN, "x", "y", 2.0) == pytest.approx(0.4)
    assert at_budget(RUN, "x", "y", 7.0) == pytest.approx(0.9)
    assert at_budget(RUN, "x", "y", 7.1) == pytest.approx(0.9)  # the last step of a time budget
    assert at_budget(RUN, "x", "y", 0.5) is None
    assert at_budget(RUN, "x", "y", 8.0) is None


def test_a_target_is_reached_once_or_missed():
    assert to_target(RUN, "x", "y", 0.5) == pytest.approx(2.5)
    assert to_target(RUN, "x", "y", 0.1) == 1.0
    assert to_target(RUN, "x", "y", 0.95) is None


def test_a_miss_is_a_miss_and_takes_the_interval_with_it():
    slow = curve((1.0, 0.1), (4.0, 0.3), run="b")
    both = reached(pl.concat([RUN, slow]), "x", "y", 0.5)
    assert (both.runs, both.reached, both.mean, both.halfwidth, both.beyond) == (2, 1, 2.5, None, 4.0)
    twice = reached(pl.concat([RUN, RUN.with_columns(run=pl.lit("b"))]), "x", "y", 0.5)
    assert (twice.reached, twice.halfwidth, twice.beyond) == (2, 0.0, None)
    never = reached(slow, "x", "y", 0.5)
    assert (never.reached, never.mean) == (0, None)


def test_area_is_the_mean_over_the_range():
    assert area(RUN, "x", "y", 1.0, 7.0) == pytest.approx((0.8 + 1.1 + 1.4) / 6)
    assert area(RUN, "x", "y", 2.0, 3.0) == pytest.approx(0.5)
    assert area(RUN, "x", "y", 0.0, 3.0) is None
    assert common_range(pl.concat([RUN, curve((2.0, 0.1), (6.0, 0.2), run="b")]), "x") == (2.0, 6.0)
    assert common_range(curve((1.0, 0.1)), "x") is None


def test_the_front_is_who_is_not_beaten():
    points = [(1.0, 0.5), (2.0, 0.7), (2.0, 0.6), (3.0, 0.7), (4.0, 0.9)]
    assert pareto_front(points) == [True, True, False, False, True]
    assert pareto_front([(1.0, 0.5), (1.01, 0.6)]) == [False, True]


def test_seeds_of_equal_mean_show_no_difference():
    a, b = [0.71, 0.73, 0.75], [0.72, 0.73, 0.74]
    (found,) = differences({"a": a, "b": b})
    assert not found.shown
    assert "no difference shown" in str(found)
    assert found.low < 0 < found.high


def test_a_plain_difference_is_shown_with_welchs_interval():
    a, b = [0.80, 0.81, 0.82], [0.70, 0.71, 0.69]
    (found,) = differences({"b": b, "a": a})
    theirs = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert (found.first, found.shown) == ("a", True)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_holm_over_all_pairs_keeps_false_alarms_rare():
    """Five arms of four equal seeds, 300 times: the best arm is chosen by looking, and still hardly ever differs."""
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        arms = {name: generator.normal(0.7, 0.02, 4).tolist() for name in "abcde"}
        alarms += any(d.shown for d in differences(arms))
    assert alarms / 300 <= 0.08  # five percent, and the noise of 300


def test_seeds_without_any_spread_have_no_test():
    """Two ties on a small test set: nothing to hold a difference against."""
    assert differences({"a": [0.7, 0.7], "b": [0.6, 0.6]}) == []
    assert len(differences({"a": [0.7, 0.7], "b": [0.6, 0.61]})) == 1


def test_one_run_has_no_test():
    assert differences({"a": [0.9], "b": [0.1, 0.2]}) == []
