"""Who pays for what: from made-up measurements to the six stages of each loader."""

from dataclasses import replace

import pytest

from fastssl.bottleneck.decoding import Decoding, Reading
from fastssl.bottleneck.pipeline import NOTHING, STAGES, Cost, Pipeline
from fastssl.bottleneck.stages import Measured, loader_cost, stages_of
from fastssl.bottleneck.training import Flow


def cost(milliseconds):
    return Cost(milliseconds / 1e3, milliseconds / 1e3)


READING = Reading(first=cost(2.0), second=cost(0.05), again=cost(0.02), bytes_per_image=40_000)
DECODING = Decoding("native", 2, whole=cost(0.9), region=cost(0.7), crops=cost(1.0))
MEASURED = Measured(
    reading=READING,
    from_disk=False,
    decoding=DECODING,
    decoding_alone=replace(DECODING, threads=1),
    augment=cost(0.2),
    cut_and_augment=cost(0.5),
    copy_crops=cost(0.03),
    copy_images=cost(0.05),
    step=cost(3.0),
    loaders={"resident": Flow(cost(0.01), 1.0), "nvjpeg": Flow(cost(0.4), 1.0)},
)


def milliseconds(kind, measured=MEASURED):
    return {stage.name: pytest.approx(1e3 * stage.cost.wall_s) for stage in stages_of(kind, measured)}


def test_crops_are_decoded_and_cut_by_the_loader():
    expected = {"read": 0.02, "decode": 0.68, "resize": 0.3, "augment": 0.2, "host-to-device": 0.03, "step": 3.0}
    assert milliseconds("crops") == expected
    stages = stages_of("crops", MEASURED)
    assert [stage.resource for stage in stages] == ["loader"] * 3 + ["trainer", "copy", "trainer"]
    assert loader_cost(stages).wall_s == pytest.approx(DECODING.crops.wall_s)


@pytest.mark.parametrize(("kind", "decode"), [("images", 0.68), ("ffcv", 0.88)])
def test_images_are_cut_by_the_trainer(kind, decode):
    expected = {"read": 0.02, "decode": decode, "resize": 0.3, "augment": 0.2, "host-to-device": 0.05, "step": 3.0}
    assert milliseconds(kind) == expected
    assert [stage.resource for stage in stages_of(kind, MEASURED)][2] == "trainer"


def test_a_resident_set_is_gathered_where_it_is():
    expected = {"read": 0.01, "decode": 0.0, "resize": 0.3, "augment": 0.2, "host-to-device": 0.0, "step": 3.0}
    assert milliseconds("resident") == expected
    assert loader_cost(stages_of("resident", MEASURED)) == NOTHING


def test_a_gpu_that_decodes_has_less_time_for_the_step():
    expected = {"read": 0.0, "decode": 0.4, "resize": 0.3, "augment": 0.2, "host-to-device": 0.0, "step": 3.0}
    assert milliseconds("nvjpeg") == expected
    assert Pipeline(stages_of("nvjpeg", MEASURED)).busy_s()["trainer"] == pytest.approx(3.9e-3)


def test_reading_from_the_disk_comes_on_top_of_decoding():
    expected = {"read": 2.0, "decode": 0.7, "resize": 0.3}
    found = milliseconds("crops", replace(MEASURED, from_disk=True))
    assert {name: found[name] for name in expected} == expected


def test_raw_pixels_are_not_decoded_and_their_cost_is_not_lost():
    raw = Decoding("native", 2, whole=cost(0.001), region=cost(0.001), crops=cost(0.25))
    found = milliseconds("crops", replace(MEASURED, reading=replace(READING, again=cost(0.1)), decoding=raw))
    assert (found["read"], found["decode"], found["resize"]) == (0.1, 0.0, 0.15)


def test_decoding_at_a_scale_is_not_charged_for_the_whole_resolution():
    scaled = replace(MEASURED, decoding=replace(DECODING, crops=cost(0.4)))
    found = milliseconds("crops", scaled)
    assert (found["read"], found["decode"], found["resize"]) == (0.02, 0.38, 0.0)


@pytest.mark.parametrize("kind", ["crops", "images", "ffcv", "resident", "nvjpeg"])
def test_every_loader_has_the_six_stages_in_order(kind):
    assert tuple(stage.name for stage in stages_of(kind, MEASURED)) == STAGES


def test_on_a_cpu_the_copy_costs_nothing_and_says_why():
    on_cpu = replace(MEASURED, copy_crops=NOTHING, copy_images=NOTHING)
    copy = {stage.name: stage for stage in stages_of("crops", on_cpu)}["host-to-device"]
    assert (copy.cost, copy.note, copy.images_per_s) == (NOTHING, "CPU: no copy", None)


@pytest.mark.parametrize(("first", "warm"), [(0.09, True), (2.0, False)])
def test_page_cache_is_warm_when_the_second_pass_is_hardly_faster(first, warm):
    reading = replace(READING, first=cost(first))
    assert reading.warm == warm
    assert reading.mb_per_s(reading.second) == pytest.approx(800)
