"""A run from start to end on a tiny dataset: what it leaves, how it resumes, what it refuses."""

import dataclasses
import itertools
import json
import re
from pathlib import Path

import pytest
import torch

from fastssl.data.policy import OrderConfig
from fastssl.errors import InputError
from fastssl.methods import METHODS as ALL_METHODS
from fastssl.methods.byol import BYOLConfig
from fastssl.methods.cissl import CISSLConfig
from fastssl.methods.dino import DINOConfig
from fastssl.methods.directclr import DirectCLRConfig
from fastssl.methods.dissl import DISSLConfig
from fastssl.methods.idealized import IdealizedConfig
from fastssl.methods.moco_v3 import MoCoV3Config
from fastssl.methods.simsiam import SimSiamConfig
from fastssl.methods.spectral import SpectralConfig
from fastssl.methods.swav import SwAVConfig
from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.telemetry import environment
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import read_records
from fastssl.train import resume, train
from fastssl.train.checkpoint import Position, read_checkpoint
from fastssl.train.log import EpochLog
from fastssl.train.probe import Prober
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import build
from tests.tiny_runs import Interrupted, interrupted_after, tiny

METHODS = ["simclr", "barlow", "vicreg", "diet", "supervised"]
HEADS = {"projector_dim": 16, "projector_hidden": 32, "predictor_hidden": 8}


def weights(result):
    return read_checkpoint(RunDir.existing(_path(result)).checkpoint)["state"]


def _path(result):
    return Path(result.directory)


def points(result):
    return [(r["case"]["step"], r["metrics"]) for r in read_records([RunDir(_path(result)).records])]


def assert_same_state(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_state(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_same_state(x, y)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("method", METHODS)
def test_run_resumed_in_mid_epoch_equals_an_uninterrupted_one(method, tiny_dataset, tmp_path):
    assert_resumes(tiny(f"demo-{method}", checkpoint_s=0.0), tmp_path)


OTHERS = [
    BYOLConfig(**HEADS),
    SimSiamConfig(**HEADS),
    MoCoV3Config(**HEADS),
    DINOConfig(num_outputs=32, projector_dim=8, projector_hidden=32, projector_bn=True),
    SwAVConfig(num_prototypes=16, projector_hidden=32, queue_length=32, queue_start=0.0),
    DISSLConfig(num_outputs=32, head_rank=8, teacher_hidden=32),
    CISSLConfig(projector_dim=16, projector_hidden=32),
    SpectralConfig(projector_dim=16, projector_hidden=32),
    IdealizedConfig(projector_dim=16),
    DirectCLRConfig(num_features=32),
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config.kind)
def test_run_of_any_other_method_resumes_in_mid_epoch(config, tiny_dataset, tmp_path):
    probe = ProbeConfig(probes=1, knn_k=5)
    assert_resumes(tiny(method=config, checkpoint_s=0.0, epochs=2, probe=probe), tmp_path)


def test_every_method_that_trains_is_among_those_resumed():
    kinds = {RECIPES[f"demo-{method}"]().method.kind for method in METHODS} | {config.kind for config in OTHERS}
    assert kinds == set(ALL_METHODS) - {"random"}


def assert_resumes(recipe, tmp_path):
    """Broken off after seven steps, in the middle of an epoch, it ends bit for bit as if it had not been."""
    whole = train(recipe, runs_dir=tmp_path / "whole", say=lambda line: None)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path / "broken", say=lambda line: None, progress=interrupted_after(6))
    (broken,) = (tmp_path / "broken").iterdir()
    resumed = resume(broken, say=lambda line: None)
    assert resumed.metrics == whole.metrics
    assert_same_state(weights(resumed), weights(whole))
    assert points(resumed) == points(whole)


ORDERS = [
    OrderConfig(order="quasi_random", block_bytes=8 * 3072, window_blocks=2),
    OrderConfig(order="sliding", window_images=48, stride_images=16),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda config: config.order)
def test_run_in_another_order_resumes_in_mid_epoch_and_is_a_run_of_its_own(order, tiny_dataset, tmp_path):
    data = DataConfig(dataset="tiny", loader="resident", order=order)
    recipe = tiny("demo-diet", data=data, checkpoint_s=0.0, probe=ProbeConfig(probes=1, knn_k=5))
    whole = train(recipe, runs_dir=tmp_path / "whole", say=lambda line: None)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path / "broken", say=lambda line: None, progress=interrupted_after(5))
    (broken,) = (tmp_path / "broken").iterdir()
    resumed = resume(broken, say=lambda line: None)
    assert_same_state(weights(resumed), weights(whole))
    assert whole.budget["images"] == 2 * (48 if order.order == "sliding" else 64)
    facts = build(recipe).facts
    assert recipe.identity(**facts) != dataclasses.replace(recipe, data=DataConfig(dataset="tiny")).identity(**facts)


def test_probe_on_the_held_out_part_needs_no_other_file(tiny_dataset, tmp_path):
    data = DataConfig(dataset="tiny", loader="resident", holdout=0.25, fraction=0.5)
    recipe = tiny(data=data, batch_size=8, probe=ProbeConfig(probes=1, knn_k=5, test_split="val"))
    parts = build(recipe)
    prober = Prober(parts)
    learnt, train_x, test_x = (set(x.source) for x in (parts.loader, prober.train_loader, prober.test_loader))
    assert not (learnt | train_x) & test_x
    assert train_x | test_x == set(range(64))
    assert (len(learnt), len(test_x)) == (25, 16)
    assert train(recipe, runs_dir=tmp_path, say=lambda line: None).metrics["knn"] >= 0


def test_noisy_labels_are_learnt_from_and_true_ones_probed(tiny_dataset):
    clean, noisy = (build(tiny(data=DataConfig(dataset="tiny", loader="resident", label_noise=p))) for p in (0.0, 0.5))
    assert clean.identity != noisy.identity

    def labels(loader):
        return {int(i): int(y) for batch in loader.epoch(0) for i, y in zip(batch.index, batch.labels)}

    assert sum(y != labels(clean.loader)[i] for i, y in labels(noisy.loader).items()) == 32
    assert labels(Prober(noisy).train_loader) == labels(Prober(clean).train_loader)


def test_lines_and_records_tell_the_share_of_waiting_for_data(tiny_dataset, tmp_path):
    lines = []
    recipe = tiny(epochs=1, probe=ProbeConfig(probes=1, knn_k=5))
    result = train(recipe, runs_dir=tmp_path, say=lines.append)
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 1
    assert all(re.search(r"  data-wait \d{1,3}%  ", line) for line in epochs)
    for record in read_records([RunDir(_path(result)).records]):
        clock = record["clock"]
        assert clock["data_wait"] == pytest.approx(clock["data_s"] / (clock["data_s"] + clock["train_s"]), abs=1e-3)


def test_waiting_is_counted_per_epoch():
    seconds = [0.0]
    clock = Clock("cpu", now=lambda: seconds[0])
    log = EpochLog(Position(), clock)
    for data_s, share in ((1.0, "25%"), (3.0, "50%")):
        for phase, spent in (("data", data_s), ("train", 3.0)):
            with clock.phase(phase):
                seconds[0] += spent
        assert f"data-wait {share}" in log.line({})
        log.end_epoch()
    assert clock.data_wait() == 0.4


def test_every_kill_point_between_probe_and_checkpoint_gives_one_record_per_probe(tiny_dataset, tmp_path):
    for steps in (4, 5, 7, 8):
        with pytest.raises(Interrupted):
            train(tiny(), runs_dir=tmp_path / str(steps), say=lambda line: None, progress=interrupted_after(steps))
        (run,) = (tmp_path / str(steps)).iterdir()
        resume(run, say=lambda line: None)
        assert [r["case"]["step"] for r in read_records([run / "records.jsonl"])] == [4, 8]


def test_records_count_what_was_processed(tiny_dataset, tmp_path):
    result = train(tiny(views=3), runs_dir=tmp_path, say=lambda line: None)
    first, last = read_records([RunDir(_path(result)).records])
    assert (last["budget"]["steps"], last["budget"]["images"], last["budget"]["views"]) == (8, 128, 384)
    assert first["budget"]["views"] == 192
    assert last["case"]["final"] is True
    assert first["case"]["final"] is False
    assert last["case"]["epoch"] == 2.0
    sidecar = json.loads(tiny_dataset.with_suffix(".beton.json").read_text())
    assert last["dataset"]["fingerprint"] == sidecar["fingerprint"]
    assert last["clock"]["eval_s"] > 0
    assert last["budget"]["gpu_h"] == pytest.approx((last["clock"]["train_s"] + last["clock"]["data_s"]) / 3600)


def test_warm_up_leaves_no_trace(tiny_dataset):
    from fastssl.train.setup import _copied, warm_up

    parts = build(tiny())
    before = _copied(parts.trainable.state_dict())
    warm_up(parts)
    assert_same_state(parts.trainable.state_dict(), before)


def test_probing_leaves_no_trace(tiny_dataset, tmp_path):
    often = train(tiny(probe=ProbeConfig(probes=8, knn_k=5)), runs_dir=tmp_path, say=lambda line: None)
    once = train(tiny(probe=ProbeConfig(probes=1, knn_k=5)), runs_dir=tmp_path, say=lambda line: None)
    assert often.run != once.run
    assert_same_state(weights(often)["method"], weights(once)["method"])


def test_random_encoder_keeps_its_weights(tiny_dataset, tmp_path):
    recipe = tiny("demo-random", probe=ProbeConfig(probes=1, knn_k=5))
    start = build(recipe).trainable.method.state_dict()
    end = weights(train(recipe, runs_dir=tmp_path, say=lambda line: None))["method"]
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_time_budget_is_spent_and_not_much_more(tiny_dataset, tmp_path, monkeypatch):
    ticks = itertools.count()  # each look at the clock is a hundredth of a second: some tens of them are one step
    monkeypatch.setattr(
        "fastssl.train.loop.Clock", lambda *place, **meter: Clock(*place, now=lambda: next(ticks) / 100)
    )
    result = train(tiny(epochs=None, budget_s=1.0), runs_dir=tmp_path, say=lambda line: None)
    spent = result.clock["train_s"] + result.clock["data_s"]
    assert 1.0 <= spent < 1.5
    assert len(read_records([RunDir(_path(result)).records])) == 2


def test_finished_run_is_not_trained_again(tiny_dataset, tmp_path):
    first = train(tiny(), runs_dir=tmp_path, say=lambda line: None)
    lines = []
    again = train(tiny(), runs_dir=tmp_path, say=lines.append)
    assert again == first
    assert "is finished" in lines[-1]


def test_unfinished_run_is_neither_overwritten_nor_mixed(tiny_dataset, tmp_path):
    with pytest.raises(Interrupted):
        train(tiny(checkpoint_s=0.0), runs_dir=tmp_path, say=lambda line: None, progress=interrupted_after(3))
    with pytest.raises(InputError, match="--resume"):
        train(tiny(), runs_dir=tmp_path, say=lambda line: None)
    train(tiny(), runs_dir=tmp_path, fresh=True, say=lambda line: None)


def test_two_processes_never_share_a_run(tiny_dataset, tmp_path):
    run = RunDir.of(tmp_path, tiny(), build(tiny()).facts)
    with run.locked(), pytest.raises(InputError, match="another process"):
        train(tiny(), runs_dir=tmp_path, say=lambda line: None)


def test_loss_that_is_not_finite_stops_the_run_naming_step_method_and_checkpoint(tiny_dataset, tmp_path):
    recipe = tiny(checkpoint_s=0.0)
    recipe = dataclasses.replace(recipe, optim=dataclasses.replace(recipe.optim, optimiser="sgd", lr=1e30))
    with pytest.raises(InputError, match=r"simclr is not finite at step \d+; last good checkpoint: .*step \d+"):
        train(recipe, runs_dir=tmp_path, say=lambda line: None)
    (run,) = tmp_path.iterdir()
    saved = read_checkpoint(run / "checkpoint.pt")["state"]["method"]
    assert all(torch.isfinite(value).all() for value in saved.values())


def test_resuming_on_other_images_is_refused(tiny_dataset, tiny_beton, tmp_path):
    with pytest.raises(Interrupted):
        train(tiny(), runs_dir=tmp_path, say=lambda line: None, progress=interrupted_after(2))
    (run,) = tmp_path.iterdir()
    tiny_dataset.write_bytes(tiny_beton(65).read_bytes())
    with pytest.raises(InputError, match="dataset=tiny has other images"):
        resume(run, say=lambda line: None)


def test_resuming_keeps_the_loader_and_backend_that_were_chosen(tiny_dataset, tmp_path, monkeypatch):
    automatic = tiny(data=DataConfig(dataset="tiny", loader="auto"), backend="auto")
    with pytest.raises(Interrupted):
        train(automatic, runs_dir=tmp_path, say=lambda line: None, progress=interrupted_after(2))
    (run,) = tmp_path.iterdir()
    monkeypatch.setattr("fastssl.data.open.free_bytes", lambda device: 1)  # `auto` would now take ffcv
    lines = []
    resume(run, say=lines.append)
    assert any(line.startswith("loader    resident") for line in lines)


def test_changed_data_is_another_run(tiny_dataset, tmp_path):
    half = tiny(data=DataConfig(dataset="tiny", loader="resident", fraction=0.5), batch_size=8)
    other = tiny(data=DataConfig(dataset="tiny", loader="resident", fraction=0.5, subset_seed=1), batch_size=8)
    runs = {train(recipe, runs_dir=tmp_path, say=lambda line: None).run for recipe in (half, other)}
    assert len(runs) == 2


@pytest.mark.parametrize(("flags", "precision"), [({"avx512_bf16"}, "bf16"), ({"avx2"}, "fp32")])
def test_automatic_precision_is_settled_before_the_run_is_named(flags, precision, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "cpu_flags", lambda: frozenset(flags))
    settled = train(tiny(precision="auto", epochs=1), runs_dir=tmp_path, say=lambda line: None)
    assert RunDir.existing(Path(settled.directory)).read_recipe()[0].precision == precision
    lines = []
    assert train(tiny(precision=precision, epochs=1), runs_dir=tmp_path, say=lines.append).run == settled.run
    assert "is finished" in lines[0]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_trains_and_resumes(precision, tiny_dataset, tmp_path):
    recipe = tiny(precision=precision, checkpoint_s=0.0)
    whole = train(recipe, runs_dir=tmp_path / "whole", say=lambda line: None)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path / "broken", say=lambda line: None, progress=interrupted_after(5))
    (broken,) = (tmp_path / "broken").iterdir()
    resumed = resume(broken, say=lambda line: None)
    assert_same_state(weights(resumed), weights(whole))
    assert bool(weights(whole)["scaler"]) == (precision == "fp16")


@pytest.mark.slow
@pytest.mark.compile
def test_compiled_encoder_gives_the_same_losses_under_the_same_names(tiny_dataset, tmp_path):
    one_epoch = {"epochs": 1, "probe": ProbeConfig(probes=1, knn_k=5)}
    eager = train(tiny(**one_epoch), runs_dir=tmp_path, say=lambda line: None)
    compiled = train(tiny(compile=True, **one_epoch), runs_dir=tmp_path, say=lambda line: None)
    assert weights(eager)["method"].keys() == weights(compiled)["method"].keys()
    assert compiled.metrics["loss"] == pytest.approx(eager.metrics["loss"], rel=1e-3)
    assert compiled.clock["compile_s"] > eager.clock["compile_s"]


def test_unfinished_folder_of_a_run_without_checkpoint_starts_anew(tiny_dataset, tmp_path):
    with pytest.raises(Interrupted):
        train(tiny(), runs_dir=tmp_path, say=lambda line: None, progress=interrupted_after(2))
    (run,) = tmp_path.iterdir()
    resumed = resume(run, say=lambda line: None)
    assert len(points(resumed)) == 2
