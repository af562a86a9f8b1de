import copy
import math

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.dino import DINOConfig, dino_loss, dino_targets
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "fingerprint", 8, 2, 8, 8, (0.5,) * 3, (0.2,) * 3)
SMALL = {"num_outputs": 12, "projector_hidden": 8, "projector_dim": 6}
INDEX = torch.arange(4)


def build(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return DINOConfig(**SMALL | options).build(encoder, 5, INFO)


def crops(sizes=(8, 8, 6, 6, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(4, 3, s, s, generator=generator) for s in sizes)


def slow_dino(student, teacher, centre, teacher_temperature, student_temperature, own):
    """The paper's algorithm 1 and section 3.1: every pair of a global view and another one, image by image."""
    terms = []
    for g, v in ((g, v) for g in range(len(teacher)) for v in range(len(student)) if v != own[g]):
        for s, t in zip(student[v], teacher[g]):
            target = ((t - centre) / teacher_temperature).exp()
            guess = (s / student_temperature).exp()
            terms.append(-(target / target.sum() * (guess / guess.sum()).log()).sum())
    return torch.stack(terms).mean()


@pytest.mark.parametrize(("num_views", "own"), [(2, [0, 1]), (5, [0, 1]), (4, [1, 3]), (3, [0, 1, 2])])
def test_dino_equals_the_equation_in_value_and_gradient(num_views, own):
    torch.manual_seed(0)
    student = torch.rand(num_views, 3, 6, dtype=torch.float64, requires_grad=True)
    teacher, centre = torch.rand(len(own), 3, 6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    fast = dino_loss(student, dino_targets(teacher, centre, 0.07), own, 0.1)
    slow = slow_dino(student, teacher, centre, 0.07, 0.1, own)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad(loss, student)[0] for loss in (fast, slow)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_dino_collapses_have_known_values():
    torch.manual_seed(0)
    same = torch.randn(12).double().expand(2, 3, 12)
    uniform = dino_targets(same, same[0, 0], 0.04)  # the centre has caught up with a constant teacher
    torch.testing.assert_close(uniform, torch.full_like(uniform, 1 / 12))
    assert dino_loss(torch.zeros(2, 3, 12).double(), uniform, [0, 1]).item() == pytest.approx(math.log(12))
    assert dino_loss(torch.randn(2, 3, 12).double(), uniform, [0, 1]).item() > math.log(12) + 1
    one = dino_targets(100 * same, torch.zeros(12).double(), 0.04)  # and without a centre, one output takes all
    assert dino_loss(100 * same, one, [0, 1]).item() == pytest.approx(0.0, abs=1e-9)


def test_dino_teacher_sees_the_global_views_alone_and_student_all():
    method, views = build(), crops()
    seen = {"student": [], "teacher": []}
    method.encoder.register_forward_pre_hook(lambda _, x: seen["student"].append(tuple(x[0].shape)))
    method.teacher[0].register_forward_pre_hook(lambda _, x: seen["teacher"].append(tuple(x[0].shape)))
    output = method(views, INDEX, INDEX)
    assert seen == {"student": [(8, 3, 8, 8), (12, 3, 6, 6)], "teacher": [(8, 3, 8, 8)]}
    with torch.no_grad():
        student = method.head(torch.cat([method.encoder(torch.cat(v)) for v in (views[:2], views[2:])])).view(5, 4, 12)
        teacher = method.teacher(torch.cat(views[:2])).view(2, 4, 12)
        expected = slow_dino(student, teacher, method.centre, 0.04, 0.1, [0, 1])
    torch.testing.assert_close(output.loss, expected)
    targets = dino_targets(teacher, method.centre, 0.04)
    torch.testing.assert_close(output.logs["teacher_entropy"], -(targets * targets.log()).sum(-1).mean())


def test_dino_global_views_are_the_first_so_many_when_told_so():
    method = build(global_views=1)
    seen = []
    method.teacher[0].register_forward_pre_hook(lambda _, x: seen.append(len(x[0])))
    method(crops((8, 8, 8)), INDEX, INDEX)
    assert seen == [4]
    with pytest.raises(InputError, match="global_views=4 of 3 views"):
        build(global_views=4)(crops((8, 8, 8)), INDEX, INDEX)


def test_dino_gradient_reaches_the_student_and_never_the_teacher():
    method = build(freeze_last_layer_fraction=0.0)
    method(crops(), INDEX, INDEX).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.student.parameters())
    assert all(p.grad is None for p in method.teacher.parameters())


def test_dino_last_layer_stands_still_for_its_share_of_the_run():
    method = build(freeze_last_layer_fraction=0.1)
    last = method.head[1].weight
    for step, progress, frozen in ((0, 0.0, True), (9, 0.09, True), (10, 0.1, False), (99, 0.99, False)):
        method.zero_grad(set_to_none=True)
        method.on_step_start(step, progress)
        method(crops(), INDEX, INDEX).loss.backward()
        assert (last.grad is None) == frozen
        assert method.head[0][0].weight.grad is not None


def test_dino_schedules_are_functions_of_progress():
    config = DINOConfig()
    points = [(0.0, 0.04), (0.05, 0.055), (0.1, 0.07), (1.0, 0.07)]
    assert [config.temperature(p) for p, _ in points] == pytest.approx([t for _, t in points])
    assert DINOConfig(temperature_warmup_fraction=0.0).temperature(0.0) == pytest.approx(0.07)
    method = build()
    method.on_step_start(5, 0.05)
    assert method.temperature.item() == pytest.approx(0.055)


def test_dino_teacher_and_centre_follow_at_the_end_of_a_step():
    method, views = build(teacher_momentum=0.9), crops()
    with torch.no_grad():
        for p in method.student.parameters():
            p += torch.randn_like(p)
    slow = [p.clone() for p in method.teacher.parameters()]
    method(views, INDEX, INDEX)
    with torch.no_grad():
        mean = method.teacher(torch.cat(views[:2])).mean(0)
    assert (method.centre == 0).all()
    method.on_step_end(0, 0.5)
    torch.testing.assert_close(method.centre, 0.1 * mean)
    for new, old, fast in zip(method.teacher.parameters(), slow, method.student.parameters(), strict=True):
        torch.testing.assert_close(new, 0.95 * old + 0.05 * fast)  # halfway from .9 to 1 on the cosine


def test_dino_checkpoint_carries_teacher_and_centre():
    method = build()
    for step in range(3):
        method.on_step_start(step, step / 3)
        method(crops(seed=step), INDEX, INDEX)
        method.on_step_end(step, step / 3)
    state = copy.deepcopy(method.state_dict())
    assert state["centre"].abs().min() > 0
    assert {name.split(".")[0] for name in state} == {"encoder", "head", "teacher", "centre"}
    other = build()
    other.load_state_dict(state, strict=True)
    for twin in (method, other):
        twin.on_step_start(3, 0.5)
    assert torch.equal(*(twin(crops(seed=3), INDEX, INDEX).loss for twin in (method, other)))


@pytest.mark.compile
def test_dino_schedule_does_not_compile_its_graph_anew():
    from torch._dynamo.testing import CompileCounter  # here, for it takes seconds

    torch.compiler.reset()
    counter = CompileCounter()
    method = build()
    compiled = torch.compile(method, fullgraph=True, backend=counter)
    for step in range(5):
        method.on_step_start(step, 0.05 + step / 100)
        compiled(crops(), INDEX, INDEX).loss.backward()
        method.on_step_end(step, 0.05 + step / 100)
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"teacher_temperature": 0.0},
        {"student_temperature": math.nan},
        {"teacher_momentum": 1.1},
        {"centre_momentum": -0.1},
        {"freeze_last_layer_fraction": 2.0},
        {"temperature_warmup_fraction": math.nan},
        {"num_outputs": 1},
        {"global_views": 0},
    ],
)
def test_dino_config_refuses(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        DINOConfig(**bad)
