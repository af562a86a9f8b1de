"""The untrained encoder's health beside every probe's: known before the first step, the same on a resume."""

import pytest
import torch

from fastssl.telemetry.records import read_records
from fastssl.train import resume, train
from fastssl.train.probe import Prober
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import build
from tests.tiny_runs import tiny

NAMES = {"random_alpha", "random_alpha_r2", "random_rankme", "random_effective_rank"}


def floors(directory):
    return [{n: r["metrics"][n] for n in NAMES} for r in read_records([RunDir(directory).records])]


def test_every_probe_stands_beside_the_untrained_encoder_also_after_a_resume(tiny_dataset, tmp_path):
    def stop(share):
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(checkpoint_s=0.0), runs_dir=tmp_path, say=lambda line: None, progress=stop)
    (run,) = tmp_path.iterdir()
    resumed = resume(run, say=lambda line: None)
    before, after = floors(run)
    assert before == after
    assert resumed.metrics["effective_rank"] != after["random_effective_rank"]


def test_untrained_measures_move_nothing_of_the_run_and_are_of_its_first_weights(tiny_dataset):
    parts = build(tiny(checkpoint_s=0.0))
    before = {name: value.clone() for name, value in parts.trainable.method.state_dict().items()}
    state = torch.default_generator.get_state()
    prober = Prober(parts)
    prober.look_at_untrained()
    once = dict(prober.untrained)
    assert once.keys() == NAMES
    assert torch.equal(torch.default_generator.get_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in parts.trainable.method.state_dict().items())
    with torch.no_grad():
        for parameter in parts.trainable.encoder.parameters():
            parameter.zero_()
    prober.look_at_untrained()
    assert prober.untrained == once
    assert prober()["random_rankme"] == once["random_rankme"]
    prober.close()
