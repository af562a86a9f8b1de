"""The rule from repeated runs to a verdict, on numbers whose answer is known."""

import math

import pytest

from fastssl.report.verdict import Band, Effect, Found, Point, Run, judge, overall, runs_of


def found(values, **band):
    effect = Effect(says="it", of=lambda seen: 0.0, band=Band(**band))
    return Found(effect, tuple(values))


def test_interval_is_students():
    mean, low, high = found([1.0, 2.0, 3.0]).interval
    assert (mean, high - mean) == (2.0, pytest.approx(4.303 / math.sqrt(3)))
    assert mean - low == pytest.approx(high - mean)


@pytest.mark.parametrize(("values", "band", "verdict"), [
    ([0.050, 0.051, 0.052], {"low": 0.03}, "PASS"),
    ([0.050, 0.051, 0.052], {"high": 0.03}, "FAIL"),
    ([0.02, 0.03, 0.04], {"low": 0.03}, "UNCLEAR"),
    ([0.0, 0.0, 0.0], {"low": -0.007, "high": 0.007}, "PASS"),
    ([0.0, 0.01, -0.01], {"low": -0.007, "high": 0.007}, "UNCLEAR"),
    ([0.050, 0.051, 0.052], {"low": -0.007, "high": 0.007}, "FAIL"),
    ([0.05], {"low": 0.03}, "UNCLEAR"),
])  # fmt: skip
def test_verdict_is_where_the_whole_interval_lies(values, band, verdict):
    assert found(values, **band).verdict == verdict


def test_claim_passes_with_all_and_fails_with_one():
    good, bad = found([1.0, 1.0], low=0), found([1.0, 1.0], high=0)
    open_one = found([-1.0, 1.0], low=0)
    assert overall([good, good]) == "PASS"
    assert overall([good, open_one]) == "UNCLEAR"
    assert overall([open_one, bad, good]) == "FAIL"


def run(arm, seed, value):
    return Run(arm, seed, (Point(1, 10, 1.0, {"ridge": value / 2}), Point(2, 20, 2.0, {"ridge": value})))


def test_effects_pair_the_arms_of_a_seed_and_leave_out_incomplete_seeds():
    runs = [run("a", 0, 0.5), run("b", 0, 0.4), run("a", 1, 0.9), run("b", 1, 0.7), run("a", 2, 0.1)]
    effect = Effect(says="a over b", of=lambda seen: seen["a"]["ridge"] - seen["b"]["ridge"], band=Band(low=0))
    (one,) = judge([effect], runs)
    assert one.values == (pytest.approx(0.1), pytest.approx(0.2))


def test_run_is_read_at_its_end_at_a_step_and_along():
    one = run("a", 0, 0.5)
    assert (one["ridge"], one["views"], one.at(1, "ridge"), one.curve("train_s")) == (0.5, 20.0, 0.25, [1.0, 2.0])


def test_records_become_runs_in_order_of_steps():
    record = lambda step, ridge: {
        "case": {"arm": "a", "seed": 0, "step": step},
        "clock": {"train_s": 1.0 * step, "data_s": 0.5},
        "budget": {"views": 10 * step},
        "metrics": {"ridge": ridge},
    }
    (one,) = runs_of([record(2, 0.4), record(1, 0.3)])
    assert one.curve("ridge") == [0.3, 0.4]
    assert one["train_s"] == 2.5


def test_bands_are_written_in_the_effects_unit():
    effect = Effect(says="it", of=lambda seen: 0.0, band=Band(-0.007, 0.007))
    assert effect.band.words(effect.write) == "-0.7 to +0.7"
    assert Band(low=0.03).words(effect.write) == "at least +3.0"
    assert Band(high=-0.8).words(lambda value: f"{value:.2f}") == "at most -0.80"
