"""Training steps fed by loaders: shares of the step alone, block by block."""

import pytest

from fastssl.errors import InputError
from fastssl.report.feed_costs import load_steps, step_tables


def test_a_feed_is_a_share_of_the_step_alone(write, feeds):
    table, stages = step_tables(load_steps([write(feeds)]))
    assert table.title == "resnet50, 2 views of 224 px: NVIDIA H200"
    names = [row[0] for row in table.rows]
    assert names[:3] == ["the step alone, views kept (ceiling)", "ours: crops", "torchvision PIL, DataLoader"]
    assert table.rows[0][3] == "1.000 (1.000 to 1.000)"
    assert table.rows[1][1] == "980 (980 to 980)"
    assert table.rows[1][3] == "0.980 (0.980 to 0.980)"
    assert table.rows[2][3] == "0.050 (0.050 to 0.050)"
    assert names[3].startswith("ours: nvjpeg: failed (no decoder")
    assert "does 100 TFLOP/s, 50.0% of the device's matrix rate" in table.note
    assert stages.rows[0][1:4] == ("2.00 ms", "30.0 ms", "1.00 ms")


def test_ours_below_the_target_is_in_bold(write, feeds):
    slow = [{**r, "samples": [1.1 * v for v in r["samples"]]} if r["case"]["contestant"] == "crops" else r
            for r in feeds]  # fmt: skip
    table = step_tables(load_steps([write(slow)]))[0]
    assert table.rows[1][3].startswith("**0.891")


def test_records_of_another_suite_are_refused(write, fake):
    with pytest.raises(InputError, match="hold no step"):
        load_steps([write(fake.run("simclr"))])
