"""The MLP probe: reads what is not linear, chooses among its candidates, is the same every time."""

import torch

from fastssl.evals import PROBES, Features
from fastssl.evals.mlp import CANDIDATES, mlp, train_mlp
from tests.evals.blobs import blobs


def ring(count):
    """Inside and outside of a circle: no line tells them apart."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 2, generator=generator)
    return x, (x.square().sum(1) > 1.4).long()


def test_mlp_reads_what_no_line_does():
    train, test = ring(800), ring(800)
    f = Features(*train, *test, 2)
    scores = {kind: dict(PROBES[kind].run(f))[kind] for kind in ("ridge", "mlp")}
    assert scores["ridge"] < 0.7
    assert scores["mlp"] > 0.95


def test_mlp_equals_itself_and_depends_on_the_seed():
    f = blobs(num_train=300, apart=0.4)
    first, again = dict(mlp(f, seed=1)), dict(mlp(f, seed=1))
    assert first == again
    assert (first["mlp_rate"], first["mlp_decay"]) in CANDIDATES
    weights = [train_mlp(f.train_x, f.train_y, 5, CANDIDATES[:1], seed).weights[0] for seed in (1, 2)]
    assert not torch.equal(*weights)


def test_candidates_train_as_if_alone():
    f = blobs(num_train=200)
    together = train_mlp(f.train_x, f.train_y, 5, CANDIDATES)
    for k in (0, 5):
        alone = train_mlp(f.train_x, f.train_y, 5, CANDIDATES[k : k + 1])
        torch.testing.assert_close(together.scores(f.test_x)[k], alone.scores(f.test_x)[0], rtol=1e-2, atol=1e-2)


def test_one_step_is_adamw():
    """Against torch.optim: the same weights after all steps of the smallest run."""
    f = blobs(num_train=64)
    rate, decay = CANDIDATES[1]
    ours = train_mlp(f.train_x, f.train_y, 5, [(rate, decay)])
    start = train_mlp.__globals__
    kept, start["MIN_STEPS"], start["EPOCHS"] = (start["MIN_STEPS"], start["EPOCHS"]), 0, 0
    try:
        first = train_mlp(f.train_x, f.train_y, 5, [(rate, decay)])
    finally:
        start["MIN_STEPS"], start["EPOCHS"] = kept
    weights = [w.clone().requires_grad_() for w in first.weights]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=decay)
    x = (f.train_x - first.mean) * first.scale
    for step in range(kept[0]):
        optimizer.param_groups[0]["lr"] = rate * (1 + torch.cos(torch.tensor(torch.pi * step / kept[0]))).item() / 2
        hidden = torch.baddbmm(weights[1], x[None], weights[0]).relu()
        scores = torch.baddbmm(weights[3], hidden, weights[2])[0]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(scores, f.train_y).backward()
        optimizer.step()
    for mine, theirs in zip(ours.weights, weights):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-2, atol=2e-3)


def test_every_probe_gives_accuracy_and_error():
    f = blobs(num_train=200, num_test=100, apart=2.0)
    for kind, probe in PROBES.items():
        found = dict(probe.run(f))
        assert 0.5 < found[kind] <= 1.0
        assert found[f"{kind}_se"] >= 0.0
        assert "single undistorted view" in probe.protocol
