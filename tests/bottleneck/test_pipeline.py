"""The model of the pipeline, with made-up costs: which stage limits, how fast it goes, what a change gains."""

from dataclasses import replace

import pytest

from fastssl.bottleneck.advice import LEAST_GAIN, Change, advise, fast_enough, verdict
from fastssl.bottleneck.pipeline import NOTHING, STAGES, Cost, Pipeline, Stage

WHERE = dict(zip(STAGES, ("loader", "loader", "loader", "trainer", "copy", "trainer")))


def stages(**milliseconds):
    """Wall milliseconds by stage; on two threads or cores, so that CPU time is twice that."""
    costs = {name.replace("_", "-"): Cost(ms / 1e3, 2 * ms / 1e3) for name, ms in milliseconds.items()}
    return tuple(Stage(name, costs.get(name, NOTHING), WHERE[name]) for name in STAGES)


ON_GPU = {"read": 0.1, "decode": 0.6, "resize": 0.3, "augment": 0.05, "host_to_device": 0.1, "step": 0.5}


def test_on_a_gpu_resources_overlap_and_the_fullest_limits():
    pipeline = Pipeline(stages(**ON_GPU))
    assert pipeline.busy_s() == pytest.approx({"loader": 1e-3, "copy": 1e-4, "trainer": 0.55e-3})
    assert (pipeline.full, pipeline.limit.name) == ("loader", "decode")
    assert pipeline.images_per_s == pytest.approx(1000)
    assert pipeline.share(pipeline.limit) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("changed", "limit", "rate"),
    [
        ({"read": 9.0}, "read", 1e3 / 9.9),
        ({"resize": 2.0}, "resize", 1e3 / 2.7),
        ({"host_to_device": 4.0}, "host-to-device", 250),
        ({"augment": 1.5}, "augment", 500),
        ({"step": 1.95}, "step", 500),
    ],
)
def test_each_stage_can_limit_on_a_gpu(changed, limit, rate):
    pipeline = Pipeline(stages(**(ON_GPU | changed)))
    assert pipeline.limit.name == limit
    assert pipeline.images_per_s == pytest.approx(rate)


def test_on_a_cpu_costs_add_up():
    pipeline = Pipeline(stages(read=0.1, decode=0.6, resize=0.2, augment=0.3, step=0.4), cores=2.0, workers=2)
    assert pipeline.images_per_s == pytest.approx(1e3 / 1.6)
    assert (pipeline.full, pipeline.limit.name) == ("cores", "decode")
    assert pipeline.share(pipeline.limit) == pytest.approx(0.6 / 1.6)
    assert sum(map(pipeline.share, pipeline.stages)) == pytest.approx(1)


def test_too_few_loader_threads_limit_even_on_a_cpu_with_idle_cores():
    one_thread = Stage("decode", Cost(4e-3, 4e-3), "loader")
    pipeline = Pipeline((one_thread, Stage("step", Cost(1e-3, 8e-3), "trainer")), cores=8.0, workers=1)
    assert (pipeline.full, pipeline.limit.name) == ("loader", "decode")
    assert pipeline.images_per_s == pytest.approx(250)
    more = Change("--workers 2", (Stage("decode", Cost(2e-3, 4e-3), "loader"),), "as measured", workers=2)
    (advice,) = advise(pipeline, [more])
    assert advice.images_per_s == pytest.approx(500)


def test_beside_other_programs_the_same_stage_limits_however_they_stretch_its_clock():
    alone = Pipeline(stages(decode=0.6, step=0.5), cores=2.0, workers=2)
    factors = {"decode": 2.0, "step": 40.0}
    beside = [
        replace(one, cost=Cost(factors.get(one.name, 1) * one.cost.wall_s, one.cost.cpu_s)) for one in alone.stages
    ]
    disturbed = Pipeline(tuple(beside), cores=0.5, workers=2)
    assert alone.limit.name == disturbed.limit.name == "decode"
    assert disturbed.images_per_s == pytest.approx(alone.images_per_s / 4)


def test_bound_is_what_is_left_without_the_named_stages():
    pipeline = Pipeline(stages(**ON_GPU))
    assert pipeline.bound(("decode",)) == pytest.approx(1e3 / 0.55)
    assert pipeline.bound(STAGES) == float("inf")


def change(what, milliseconds, name="decode"):
    return Change(what, (Stage(name, Cost(milliseconds / 1e3, 2 * milliseconds / 1e3), WHERE[name]),), "as measured")


def test_gain_is_the_new_rate_over_the_old():
    (advice,) = advise(Pipeline(stages(**ON_GPU)), [change("smaller", 0.4)])
    assert advice.gain == pytest.approx(1.0 / 0.8 - 1)
    assert advice.images_per_s == pytest.approx(1250)
    assert advice.line() == "smaller: +25% (1,250 images/s predicted; as measured)"


def test_gain_ends_where_the_next_resource_is_full():
    (advice,) = advise(Pipeline(stages(**ON_GPU)), [change("free", 0.0)])
    assert advice.images_per_s == pytest.approx(1e3 / 0.55)


def test_gain_on_a_cpu_is_that_of_the_whole_sum():
    pipeline = Pipeline(stages(read=0.1, decode=0.6, resize=0.2, augment=0.3, step=0.4), cores=2.0, workers=2)
    (advice,) = advise(pipeline, [change("half", 0.3)])
    assert advice.gain == pytest.approx(1.6 / 1.3 - 1)


def test_advice_is_sorted_and_without_what_gains_nothing():
    little = change("little", 0.6 - 0.9 * LEAST_GAIN)
    advice = advise(
        Pipeline(stages(**ON_GPU)), [change("some", 0.5), little, change("worse", 0.9), change("most", 0.3)]
    )
    assert [one.what for one in advice] == ["most", "some"]


def test_nothing_is_advised_that_was_not_measured():
    assert advise(Pipeline(stages(**ON_GPU)), []) == ()


@pytest.mark.parametrize(
    "pipeline",
    [
        Pipeline(stages(**(ON_GPU | {"step": 3.0}))),
        Pipeline(stages(decode=0.2, augment=0.1, step=2.2), cores=2.0, workers=2),
    ],
    ids=["gpu", "cpu"],
)
def test_when_the_step_limits_only_the_step_is_advised_on(pipeline):
    assert fast_enough(pipeline)
    advice = advise(pipeline, [change("smaller", 0.1), change("fp32", 1.0, "step")])
    assert [one.what for one in advice] == ["fp32"]


def test_largest_stage_of_a_cpu_does_not_hide_a_loader_that_costs_nearly_as_much():
    pipeline = Pipeline(stages(decode=0.9, step=1.0), cores=2.0, workers=2)
    assert pipeline.limit.name == "step"
    assert [one.what for one in advise(pipeline, [change("smaller", 0.3)])] == ["smaller"]


@pytest.mark.parametrize(
    ("costs", "cores", "words"),
    [
        (ON_GPU, None, "limit: decode, 60% of what the loader's threads spend on an image (0.60 of 1.00 ms)"),
        (ON_GPU | {"step": 3.95}, None, "fast enough: it gives 1,000 images/s, 4.0 times as many as go in"),
        ({"step": 1.0}, None, "fast enough: it costs nothing that could be measured"),
        ({"decode": 0.6, "step": 0.4}, 2.0, "limit: decode, 60% of the CPU time of an image (1.20 ms)"),
        ({"decode": 0.05, "step": 0.95}, 2.0, "fast enough: one that costs nothing would give 5% more images/s"),
        (
            {"decode": 0.4, "step": 0.6},
            2.0,
            "The loader costs, too: one that costs nothing would give 67% more images/s",
        ),
    ],
)
def test_verdict_names_limit_and_room(costs, cores, words):
    assert words in verdict(Pipeline(stages(**costs), cores, workers=2))


def test_what_one_measurement_adds_to_another_is_never_negative():
    assert Cost(3.0, 5.0).beyond(Cost(1.0, 6.0)) == Cost(2.0, 0.0)
