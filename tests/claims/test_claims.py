"""Every claim is well made, and one that is run ends in records, a verdict and a picture."""

import dataclasses
import math

import pytest

from fastssl.claims import CLAIMS
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.claims.run import judge_records, run_claim
from fastssl.claims.slopes import best_log, slope_of_best
from fastssl.claims.states import states
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.report.claim_figure import claim_figure
from fastssl.report.verdict import Band, Effect, Point, Run
from fastssl.telemetry.records import read_records, record_id
from fastssl.toy import ToyConfig

FORMS = [pytest.param(claim, machine, id=f"{claim.label}-{machine}")
         for claim in CLAIMS.values() for machine in ("cpu", "gpu")]  # fmt: skip
METRICS = ("ridge", "knn", "mlp", "loss", "captured", "effective_rank", "ridge_labels_0.1", "ridge_labels_0.01")


def made_up(form, seed):
    """Runs of every arm with the evaluation points that the arm asks for."""
    runs = {}
    for k, arm in enumerate(form.arms):
        if isinstance(arm.work, ToyConfig):
            steps = [*arm.work.measure_at, arm.work.steps]
        else:
            steps = [10 * (i + 1) for i in range(arm.work.probe.probes)]
        values = dict.fromkeys(METRICS, 0.3 + 0.01 * k + 0.001 * seed)
        points = [Point(step, 2 * step, 0.1 * step, {**values, "loss": 10.0 - i, "ridge": values["ridge"] + i / 1000})
                  for i, step in enumerate(sorted(set(steps)))]  # fmt: skip
        runs[arm.name] = Run(arm.name, seed, tuple(points))
    return runs


def test_claims_are_numbered_without_a_gap():
    assert [claim.number for claim in CLAIMS.values()] == list(range(21))


@pytest.mark.parametrize(("claim", "machine"), FORMS)
def test_claim_is_complete(claim, machine, tmp_path):
    form = claim.form(machine)
    assert form.seeds >= 3
    assert len({arm.name for arm in form.arms}) == len(form.arms)
    for effect in form.effects:
        assert effect.band != Band(), "an effect that nothing could contradict"
        assert isinstance(effect.of(made_up(form, 0)), float)
    identities = {
        arm.work.identity() if isinstance(arm.work, Recipe) else repr(arm.work)
        for arm in (dataclasses.replace(arm, work=_unnamed(arm.work)) for arm in form.arms)
    }
    assert len(identities) == len(form.arms), "two arms that are the same run"
    assert not form.alone or all(isinstance(arm.work, Recipe) for arm in form.arms)


@pytest.mark.parametrize("name", ["parity", "small-projector", "more-views", "diet-loss", "dimension"])
def test_picture_of_a_claim_is_drawn(name, tmp_path):
    form = CLAIMS[name].form("cpu")
    runs = [run for seed in range(3) for run in made_up(form, seed).values()]
    for path in claim_figure(form.panels, form.arms, runs, "title", tmp_path / name):
        assert path.stat().st_size > 5_000


def _unnamed(work):
    return dataclasses.replace(work, name="x") if isinstance(work, Recipe) else work


def toy_claim(band):
    arms = tuple(Arm(name=f"{views} views", work=ToyConfig(views=views, steps=20, batch_size=16)) for views in (2, 4))
    of = lambda seen: seen["4 views"]["captured"] - seen["2 views"]["captured"]
    form = Form(arms=arms, effects=(Effect(says="it", of=of, band=band),), setting="toy", seeds=2,
                panels=(Panel(y="captured", y_label="captured"),))  # fmt: skip
    return Claim(number=99, name="test-claim", paper="p", says="s", reading="r", cpu=lambda: form, gpu=lambda: form)


def test_claim_is_run_recorded_and_judged(tmp_path):
    claim = toy_claim(Band(low=-1.0))
    told = []
    path = run_claim(claim, "cpu", tmp_path, parallel=1, tell=told.append)
    judged = judge_records(claim, path)
    assert judged.verdict == "PASS"
    assert judged.num_seeds == 2
    records = read_records([path])
    assert [record["id"] for record in records] == [record_id(record) for record in records]
    assert [state for _, _, state in told[-1]] == ["done"] * 4
    assert judge_records(toy_claim(Band(low=1.1)), path).verdict == "FAIL"


def test_records_of_other_arms_are_refused(tmp_path):
    claim = toy_claim(Band(low=0))
    path = run_claim(claim, "cpu", tmp_path, parallel=1, seeds=1)
    other = dataclasses.replace(claim.cpu(), arms=claim.cpu().arms[:1])
    with pytest.raises(InputError, match="do not hold the arms"):
        judge_records(dataclasses.replace(claim, cpu=lambda: other), path)


def test_trained_arms_become_records_with_their_arm(tiny_dataset, tmp_path):
    from tiny_runs import tiny

    arms = tuple(Arm(name=f"{views} views", work=tiny(views=views, epochs=1)) for views in (2, 3))
    effect = Effect(says="it", of=lambda seen: seen["3 views"]["views"] / seen["2 views"]["views"], band=Band(1.5, 1.5))
    form = Form(arms=arms, effects=(effect,), setting="tiny", seeds=2)
    claim = Claim(number=98, name="tiny-claim", paper="p", says="s", reading="r", cpu=lambda: form, gpu=lambda: form)
    judged = judge_records(claim, run_claim(claim, "cpu", tmp_path, parallel=1))
    assert judged.found[0].values == (1.5, 1.5)
    records = read_records([tmp_path / "tiny-claim.jsonl"])
    assert [record["id"] for record in records] == [record_id(record) for record in records]
    assert judged.verdict == "PASS"


def test_claim_whose_runs_fail_is_not_judged(tiny_dataset, tmp_path):
    from tiny_runs import tiny

    bad = tiny(epochs=1)
    bad = dataclasses.replace(bad, data=dataclasses.replace(bad.data, dataset="absent"))
    effect = Effect(says="it", of=lambda seen: 0.0, band=Band(low=0))
    form = Form(arms=(Arm(name="a", work=bad),), effects=(effect,), setting="tiny", seeds=1)
    claim = Claim(number=98, name="bad-claim", paper="p", says="s", reading="r", cpu=lambda: form, gpu=lambda: form)
    with pytest.raises(InputError, match=r"1 of 1 runs failed, the first: bad-claim-a, seed 0: .*absent"):
        run_claim(claim, "cpu", tmp_path, parallel=1)
    assert not (tmp_path / "bad-claim.jsonl").exists()


def test_list_says_what_was_not_run(tmp_path):
    assert {row["state"] for row in states([tmp_path])} == {"not run"}


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.7])
def test_slope_of_the_best_is_that_of_the_apexes(slope):
    dims, weights = (8.0, 16.0, 32.0), tuple(10 ** (k / 2) for k in range(-8, 5))
    value = lambda d, w: -((math.log10(w) - slope * math.log10(d) + 1) ** 2)
    grid = {d: {w: f"{d} {w}" for w in weights} for d in dims}
    seen = {f"{d} {w}": Run("", 0, (Point(1, 1, 1.0, {"m": value(d, w)}),)) for d in dims for w in weights}
    assert slope_of_best(grid, "m")(seen) == pytest.approx(slope, abs=1e-6)


def test_best_at_an_end_of_the_grid_is_that_end():
    assert best_log([(1.0, 0.1), (10.0, 0.2), (100.0, 0.3)]) == 2.0
