import itertools
import math

import pytest
import torch

from fastssl.optim import OptimConfig, lr_scale, set_lr


def test_schedule_rises_to_one_at_the_end_of_the_warmup():
    assert lr_scale(0.0, 0.2) == 0.0
    assert lr_scale(0.1, 0.2) == pytest.approx(0.5)
    assert lr_scale(0.2, 0.2) == 1.0
    assert lr_scale(0.2 - 1e-9, 0.2) == pytest.approx(1.0, abs=1e-6)


def test_schedule_cosine_passes_the_middle_and_ends_at_its_final_fraction():
    assert lr_scale(0.6, 0.2) == pytest.approx(0.5)
    assert lr_scale(0.6, 0.2, final_fraction=0.1) == pytest.approx(0.55)
    assert lr_scale(0.4, 0.2) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert lr_scale(1.0, 0.2) == pytest.approx(0.0, abs=1e-15)
    assert lr_scale(1.0, 0.2, final_fraction=0.1) == pytest.approx(0.1)


def test_schedule_constant_stays_at_one():
    assert [lr_scale(p, 0.2, "constant") for p in (0.0, 0.1, 0.2, 0.6, 1.0)] == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_schedule_without_warmup_starts_at_one():
    assert lr_scale(0.0) == 1.0


def test_schedule_clips_progress_and_bears_a_warmup_of_the_whole_run():
    assert lr_scale(1.2) == lr_scale(1.0)
    assert lr_scale(-0.1, 0.5) == 0.0
    assert lr_scale(1.0, 1.0) == 1.0


def test_schedule_never_rises_after_the_warmup():
    values = [lr_scale(step / 500, 0.1, final_fraction=0.01) for step in range(50, 501)]
    assert all(a >= b for a, b in itertools.pairwise(values))


def test_set_lr_keeps_the_ratio_between_groups():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [w], "base_lr": base, "lr": base} for w, base in zip(weights, (0.1, 0.3))]
    optimizer = torch.optim.SGD(groups)
    for scale in (0.0, 0.5, 1.0):  # from zero back up: the base is never lost
        set_lr(optimizer, scale)
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.1 * scale, 0.3 * scale])


def test_config_schedule_uses_its_own_fields():
    config = OptimConfig(warmup_fraction=0.2, final_lr_fraction=0.1)
    for progress in (0.0, 0.1, 0.2, 0.7, 1.0):
        assert config.lr_scale(progress) == lr_scale(progress, 0.2, "cosine", 0.1)
