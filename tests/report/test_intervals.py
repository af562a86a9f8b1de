"""Means, intervals, units and label positions: the arithmetic under tables and figures."""

import itertools
import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fastssl.report.intervals import mean_curve
from fastssl.report.labels import spread
from fastssl.report.load import load_runs
from fastssl.report.student import mean_and_halfwidth, t_975
from fastssl.report.units import compute_name, compute_unit, count_unit, short_count, short_number


@pytest.mark.parametrize("degrees", [*range(1, 40), 60, 120, 1000])
def test_students_t_agrees_with_scipy(degrees):
    assert t_975(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), abs=6e-4)


def test_mean_and_interval_agree_with_scipy():
    values = [0.71, 0.74, 0.69, 0.75]
    mean, halfwidth = mean_and_halfwidth(values)
    low, high = scipy.stats.t.interval(0.95, 3, scipy.stats.tmean(values), scipy.stats.sem(values))
    assert (mean - halfwidth, mean + halfwidth) == pytest.approx((low, high), rel=1e-3)


def test_single_value_has_no_interval():
    assert mean_and_halfwidth([0.5]) == (0.5, None)


def test_mean_curve_goes_as_far_as_every_run(write, fake):
    frame = load_runs([write(fake.run("simclr", 0) + fake.run("simclr", 1)[:3])])
    x, y = mean_curve(frame, "compute_h", "ridge")
    runs = frame.partition_by("run")
    assert len(x) == len(y) == 3
    assert y[2] == pytest.approx((runs[0]["ridge"][2] + runs[1]["ridge"][2]) / 2)
    assert x[0] == pytest.approx((runs[0]["compute_h"][0] + runs[1]["compute_h"][0]) / 2)


@given(st.lists(st.floats(-5, 15), max_size=12), st.floats(0.1, 3))
def test_labels_keep_their_distance_order_and_bounds(wanted, gap):
    placed = spread(wanted, gap, 0.0, 10.0)
    assert len(placed) == len(wanted)
    assert all(-1e-9 <= position <= 10 + 1e-9 for position in placed)
    fits = min(gap, 10.0 / max(len(wanted) - 1, 1))
    ordered = sorted(placed)
    assert all(b - a >= fits - 1e-9 for a, b in itertools.pairwise(ordered))
    by_wish = [position for _, position in sorted(zip(wanted, placed))]
    assert by_wish == sorted(by_wish)


def test_labels_with_room_stay_where_they_want_to_be():
    assert spread([7.0, 1.0, 4.0], 1.0, 0.0, 10.0) == [7.0, 1.0, 4.0]


def test_colliding_labels_share_the_move():
    assert spread([5.0, 5.0], 1.0, 0.0, 10.0) == pytest.approx([4.5, 5.5])
    assert spread([9.9, 9.8], 1.0, 0.0, 10.0) == pytest.approx([10.0, 9.0])


@pytest.mark.parametrize(
    ("hours", "unit"), [([30 / 3600], "seconds"), ([10 / 60, 1 / 60], "minutes"), ([3.5], "hours"), ([], "seconds")]
)
def test_compute_unit_suits_the_longest_run(hours, unit):
    name, per_hour = compute_unit(hours)
    assert name == unit
    assert {"seconds": 3600, "minutes": 60, "hours": 1}[name] == per_hour


@pytest.mark.parametrize(("count", "unit"), [(1500, ""), (50_000, "thousands"), (3e6, "millions"), (4e9, "billions")])
def test_count_unit_suits_the_largest_count(count, unit):
    name, factor = count_unit([10, count])
    assert name == unit
    assert 1 <= count * factor < 2000
    assert math.isclose(count * factor / factor, count)


def test_short_numbers_keep_three_digits():
    assert [short_count(n) for n in (12, 52_480, 1_234_567, 2e9)] == ["12", "52.5 k", "1.23 M", "2 G"]
    assert [short_number(x) for x in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1234"]


def test_compute_is_named_after_what_computes():
    assert [compute_name(kinds) for kinds in (["cuda"] * 2, ["cpu"], ["cpu", "cuda"])] == ["GPU", "machine", "compute"]
