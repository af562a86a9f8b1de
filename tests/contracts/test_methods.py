"""What every registered method promises. A new method is in here as soon as it is in `MethodConfig`.

The golden losses in `tests/golden/method_losses.json` are 20 steps on a CPU in float32. When a change is meant to move
them, rewrite the file and look at the difference: FASTSSL_UPDATE_GOLDEN=1 pytest tests/contracts/test_methods.py
"""

import copy
import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods import METHODS
from fastssl.methods.barlow_twins import BarlowTwinsConfig, barlow_twins_loss
from fastssl.methods.byol import byol_loss
from fastssl.methods.cissl import CISSLConfig, cissl_loss
from fastssl.methods.diet import diet_loss
from fastssl.methods.dino import dino_loss, dino_targets
from fastssl.methods.directclr import DirectCLRConfig, directclr_loss
from fastssl.methods.dissl import dissl_loss
from fastssl.methods.encode import encode_views
from fastssl.methods.idealized import IdealizedConfig, idealized_loss
from fastssl.methods.moco_v3 import moco_v3_loss
from fastssl.methods.simclr import SimCLRConfig, simclr_loss
from fastssl.methods.simsiam import simsiam_loss
from fastssl.methods.spectral import SpectralConfig, spectral_loss
from fastssl.methods.supervised import supervised_loss
from fastssl.methods.swav import sinkhorn, swav_loss
from fastssl.methods.vicreg import VICRegConfig, vicreg_loss
from fastssl.optim import OptimConfig
from fastssl.train.checkpoint import Trainable
from fastssl.types import DatasetInfo
from fastssl.views import ViewSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "method_losses.json"
NUM_SAMPLES, NUM_CLASSES, DIM = 32, 4, 16
INFO = DatasetInfo("toy", "train", "fingerprint", NUM_SAMPLES, NUM_CLASSES, 8, 8, (0.5,) * 3, (0.2,) * 3)
KINDS = sorted(METHODS)
ONE_VIEW = {"diet", "supervised", "random"}
SMALL = {  # heads of thousands of outputs, cut to the size of the toy; a DINO that settles in thirty steps
    "dino": {"num_outputs": 64, "projector_hidden": 32, "projector_dim": 16, "projector_bn": True}
    | {"teacher_momentum": 0.9},
    "dissl": {"num_outputs": 64, "teacher_hidden": 32, "head_rank": 16},
    "swav": {"num_prototypes": 24, "projector_hidden": 32, "projector_dim": 16},
}
every_method = pytest.mark.parametrize("kind", KINDS)

Z = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))
HEAD = torch.randn(40, 8, generator=torch.Generator().manual_seed(1))
LOSSES = {
    "simclr": lambda z: simclr_loss(z, 0.5),
    "simclr-one-negative": lambda z: simclr_loss(z, 0.5, 1),
    "simclr-candidates": lambda z: simclr_loss(z[:, 2:4], 0.5, candidates=z, first=2),
    "cissl": lambda z: cissl_loss(z, z.flip(2), 0.07),
    "directclr": lambda z: directclr_loss(z, 0.1),
    "spectral": lambda z: spectral_loss(z),
    "idealized": lambda z: idealized_loss(z, 0.1),
    "barlow-leave-one-out": lambda z: barlow_twins_loss(z, 0.1),
    "barlow-pairwise": lambda z: barlow_twins_loss(z, 0.1, "pairwise", "joint"),
    "barlow-mean-autocorr": lambda z: barlow_twins_loss(z, 0.1, "mean_autocorr", l2_first=True),
    "vicreg": lambda z: vicreg_loss(z),
    "vicreg-pairwise": lambda z: vicreg_loss(z, form="pairwise"),
    "byol": lambda z: byol_loss(z, Z.flip(1)),
    "simsiam": lambda z: simsiam_loss(z, Z.flip(1)),
    "simsiam-mean-target": lambda z: simsiam_loss(z, Z.flip(1), "mean_target"),
    "moco-v3": lambda z: moco_v3_loss(z, Z.flip(1), 0.2),
    "dino": lambda z: dino_loss(z, dino_targets(z[:2], z[0, 0], 0.07), [0, 1]),
    "dissl": lambda z: dissl_loss(z, 2 * z),
    "swav": lambda z: swav_loss(z, sinkhorn(z[:2]), [0, 1]),
    "diet": lambda z: diet_loss(z[0], HEAD, torch.arange(6), 0.8, 16),
    "supervised": lambda z: supervised_loss(z, torch.arange(6)),
}


def encoder():
    return nn.Sequential(
        nn.Conv2d(3, DIM, 3, stride=2, bias=False),
        nn.BatchNorm2d(DIM),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def build(kind, seed=0, **options):
    torch.manual_seed(seed)
    return METHODS[kind](**SMALL.get(kind, {}) | options).build(encoder(), DIM, INFO)


def batch(step, b=16, num_views=2):
    """Views of images that differ in colour and pattern by class and by sample; the noise is new in every step."""
    fixed = torch.Generator().manual_seed(99)
    by_class = torch.randn(NUM_CLASSES, 3, 8, 8, generator=fixed)
    by_sample = torch.randn(NUM_SAMPLES, 3, 8, 8, generator=fixed)
    generator = torch.Generator().manual_seed(step)
    index = torch.randperm(NUM_SAMPLES, generator=generator)[:b]
    labels = index % NUM_CLASSES
    images = by_class[labels] + by_sample[index]
    noise = lambda: 0.3 * torch.randn(images.shape, generator=generator)
    return tuple((images + noise()).to(memory_format=torch.channels_last) for _ in range(num_views)), index, labels


def train(method, config, steps):
    """As the loop does it, hooks included; the losses of all steps."""
    optimizer = config.build(method)
    trainable = Trainable(method, optimizer, torch.amp.GradScaler("cpu", enabled=False))
    losses = []
    for step in range(steps):
        trainable.on_step_start(step, step / steps)
        output = method(*batch(step))
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        trainable.on_step_end(step, step / steps)
        losses.append(output.loss.item())
    return losses


@every_method
def test_method_loss_is_finite_and_falls_in_thirty_steps(kind):
    method = build(kind)
    losses = torch.tensor(train(method, OptimConfig(lr=5e-3), 30)) - getattr(method, "floor", 0.0)
    assert losses.isfinite().all()
    if kind == "random":
        assert (losses == 0).all()
    else:
        assert losses[-5:].mean() < 0.95 * losses[:5].mean()


@every_method
@pytest.mark.parametrize("b", [2, 7])
@pytest.mark.parametrize("num_views", [1, 2, 3])
def test_method_takes_any_batch_and_number_of_views(kind, b, num_views):
    method = build(kind)
    if num_views == 1 and kind not in ONE_VIEW:
        with pytest.raises(InputError, match=f"views=1 leaves {kind} nothing to compare"):
            method(*batch(0, b, num_views))
        return
    output = method(*batch(0, b, num_views))
    output.loss.backward()
    assert output.loss.shape == ()
    assert output.loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@every_method
def test_method_trains_the_encoder_it_was_given(kind):
    given = encoder()
    method = METHODS[kind](**SMALL.get(kind, {})).build(given, DIM, INFO)
    assert method.encoder is given
    method(*batch(0)).loss.backward()
    assert (given[0].weight.grad is None) == (kind == "random")


@every_method
def test_method_logs_are_detached_scalars_and_the_loss_is_float32_under_autocast(kind):
    with torch.autocast("cpu", torch.bfloat16):
        output = build(kind)(*batch(0))
    assert output.loss.dtype == torch.float32
    assert "loss" not in output.logs
    for value in output.logs.values():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert not value.requires_grad


@every_method
def test_method_waits_for_no_value_of_the_device(kind, monkeypatch):
    method, inputs = build(kind), batch(0)

    def waits(*args, **kwargs):
        raise AssertionError("the training line read a value from the device")

    for name in ("item", "cpu", "tolist", "numpy", "__float__", "__int__", "__bool__", "__index__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    output = method(*inputs)
    output.loss.backward()
    with pytest.raises(AssertionError, match="read a value"):
        float(output.loss)


@every_method
def test_method_reads_only_the_targets_it_names(kind):
    views, index, labels = batch(0)
    other = lambda targets, limit: (targets + 1) % limit
    with torch.no_grad():
        loss = build(kind)(views, index, labels).loss
        assert torch.equal(build(kind)(views, index, other(labels, NUM_CLASSES)).loss, loss) == (kind != "supervised")
        assert torch.equal(build(kind)(views, other(index, NUM_SAMPLES), labels).loss, loss) == (kind != "diet")


@every_method
def test_method_does_not_care_for_the_order_of_images_and_views(kind):
    views, index, labels = batch(0, 9, 3)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    method = build(kind)
    loss = method(views, index, labels).loss
    turned = method(tuple(v[order] for v in views[::-1]), index[order], labels[order]).loss
    torch.testing.assert_close(turned, loss, rtol=1e-5, atol=1e-6)


@every_method
def test_method_state_survives_a_strict_round_trip(kind, tmp_path):
    trained = build(kind)
    train(trained, OptimConfig(lr=5e-3), 3)
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    other = build(kind, seed=1)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), strict=True)
    assert train(other, OptimConfig(lr=5e-3), 3) == train(trained, OptimConfig(lr=5e-3), 3)
    for (name, mine), theirs in zip(trained.state_dict().items(), other.state_dict().values()):
        assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs, name


@every_method
def test_method_repeats_its_golden_losses(kind):
    losses = train(build(kind), OptimConfig(optimiser="sgd", lr=2e-3), 20)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("FASTSSL_UPDATE_GOLDEN") == "1":
        golden[kind] = [float(f"{loss:.7g}") for loss in losses]
        GOLDEN.write_text(json.dumps({name: golden[name] for name in KINDS if name in golden}, indent=1) + "\n")
    assert kind in golden, f"no golden losses of {kind}: run with FASTSSL_UPDATE_GOLDEN=1 and commit the file"
    assert losses == pytest.approx(golden[kind], rel=1e-4)


def test_golden_losses_are_those_of_the_registered_methods():
    assert sorted(json.loads(GOLDEN.read_text())) == KINDS


@every_method
def test_method_config_is_a_frozen_value_that_json_can_carry(kind):
    config = METHODS[kind]()
    assert config.kind == kind
    assert json.loads(json.dumps(dataclasses.asdict(config))) == dataclasses.asdict(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.kind = "other"
    with pytest.raises(TypeError):
        METHODS[kind](kind)


@every_method
def test_method_config_fields_collide_with_no_other_config(kind):
    # The command line flattens a recipe: one active method beside the optimiser and the view.
    mine = {f.name for f in dataclasses.fields(METHODS[kind])}
    for other in (OptimConfig, ViewSpec):
        assert not mine & {f.name for f in dataclasses.fields(other)}


@pytest.mark.parametrize(
    "config",
    [
        SimCLRConfig,
        SpectralConfig,
        BarlowTwinsConfig,
        VICRegConfig,
        IdealizedConfig,
    ],
)
def test_method_projector_follows_its_options(config):
    options = config(projector_dim=5, projector_hidden=7, projector_depth=3)
    linears = [m for m in options.build(encoder(), DIM, INFO).projector if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [(DIM, 7), (7, 7), (7, 5)]
    with pytest.raises(InputError, match="projector_hidden=0"):
        config(projector_hidden=0).build(encoder(), DIM, INFO)


@pytest.mark.parametrize(
    "config",
    [
        SimCLRConfig,
        CISSLConfig,
        DirectCLRConfig,
        SpectralConfig,
        BarlowTwinsConfig,
        VICRegConfig,
        IdealizedConfig,
    ],
)
def test_method_per_view_bn_passes_views_one_by_one(config):
    inputs = batch(0)
    losses = []
    for flag in (True, False):
        torch.manual_seed(0)
        method = config(per_view_bn=flag).build(encoder(), DIM, INFO)
        losses.append(method(*inputs).loss.item())
        assert method.encoder[1].num_batches_tracked == (2 if flag else 1)
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("config", "loss_of"),
    [
        (SimCLRConfig(temperature=0.3, num_negatives=5), lambda z: simclr_loss(z, 0.3, 5)),
        (SpectralConfig(max_square_norm=3.0), lambda z: spectral_loss(z, 3.0)),
        (IdealizedConfig(orthogonality_weight=0.7), lambda z: idealized_loss(z, 0.7)),
        (BarlowTwinsConfig(redundancy_weight=0.03), lambda z: barlow_twins_loss(z, 0.03)),
        (
            BarlowTwinsConfig(redundancy_weight=0.5, multiview="pairwise", standardise="joint", l2_first=True),
            lambda z: barlow_twins_loss(z, 0.5, "pairwise", "joint", True),
        ),
        (
            VICRegConfig(invariance_weight=3.0, variance_weight=5.0, covariance_weight=7.0, multiview="pairwise"),
            lambda z: vicreg_loss(z, 3.0, 5.0, 7.0, "pairwise"),
        ),
    ],
    ids=["simclr", "spectral", "idealized", "barlow_twins", "barlow_twins with options", "vicreg"],
)
def test_method_trains_on_the_loss_that_meets_its_equation(config, loss_of):
    torch.manual_seed(0)
    method = config.build(encoder(), DIM, INFO)
    views, index, labels = batch(0, num_views=3)
    z = encode_views(lambda x: method.projector(method.encoder(x)), views)
    assert torch.allclose(method(views, index, labels).loss, loss_of(z), rtol=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_loss_is_float32_inside_autocast_and_for_half_precision_inputs(name):
    loss = LOSSES[name]
    plain = Z.clone().requires_grad_()
    expected = loss(plain)
    (slope,) = torch.autograd.grad(expected, plain)
    cast = Z.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(cast)
    (inside_slope,) = torch.autograd.grad(inside, cast)  # as in training: outside, torch casts each product as it was
    assert torch.equal(inside, expected)
    torch.testing.assert_close(inside_slope, slope, rtol=1e-5, atol=1e-6)
    for dtype in (torch.bfloat16, torch.float16):
        half = Z.to(dtype)
        assert torch.equal(loss(half), loss(half.float()))


@pytest.mark.compile
@every_method
def test_method_compiles_to_one_graph(kind):
    torch.compiler.reset()
    method = build(kind)
    twin = copy.deepcopy(method)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    expected, output = method(*batch(0)), compiled(*batch(0))
    torch.testing.assert_close(output.loss, expected.loss)
    expected.loss.backward()
    output.loss.backward()
    for mine, theirs in zip(method.parameters(), twin.parameters()):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@every_method
def test_method_trains_on_a_gpu_without_waiting_for_it(kind):
    method = build(kind).to("cuda")
    optimizer = OptimConfig(lr=1e-3).build(method)
    trainable = Trainable(method, optimizer, torch.amp.GradScaler("cuda", enabled=False))
    steps = [tuple(tuple(v.cuda() for v in x) if isinstance(x, tuple) else x.cuda() for x in batch(i)) for i in (0, 1)]
    losses = []
    for step, (views, index, labels) in enumerate(steps):
        torch.cuda.set_sync_debug_mode("error" if step else "default")  # the first step makes handles and workspaces
        try:
            trainable.on_step_start(step, step / 2)
            with torch.autocast("cuda", torch.bfloat16):
                output = method(views, index, labels)
            output.loss.backward()
            optimizer.step()
            trainable.on_step_end(step, step / 2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        losses.append(output.loss)
    assert torch.stack(losses).isfinite().all()
