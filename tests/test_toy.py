"""The known-spectrum toy: its spectrum is the known one, it repeats itself, and it shows what it is there to show."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastssl.errors import InputError
from fastssl.methods.simclr import simclr_loss
from fastssl.report.toy_tables import EXPERIMENTS, compare, load_toys
from fastssl.toy import ToyConfig, draw_views, eigen_directions, run_toy

RECORDS = sorted((Path(__file__).parent.parent / "results" / "toy").rglob("*.jsonl"))
SMALL = ToyConfig(input_dim=6, top=2, dim=2, batch_size=20_000)
QUICK = ToyConfig(steps=20, measure_at=(5, 10))


@pytest.mark.parametrize("num_images", [None, 20_000])
def test_views_are_white_and_agree_by_the_known_spectrum(num_images):
    config = replace(SMALL, num_images=num_images)
    directions = eigen_directions(config)
    torch.testing.assert_close(directions @ directions.T, torch.eye(6), atol=1e-5, rtol=0)
    first, second = draw_views(config, range(3, 4), directions)[0] @ directions.T
    close = {"atol": 4 / 20_000**0.5, "rtol": 0}
    torch.testing.assert_close(first.T @ first / 20_000, torch.eye(6), **close)
    torch.testing.assert_close(first.T @ second / 20_000, torch.diag(config.eigenvalues), **close)
    assert config.noise[[0, -1]].tolist() == pytest.approx([0.15, 3.0])


def test_draws_depend_on_seed_step_and_view_alone():
    directions = eigen_directions(QUICK)
    several = draw_views(QUICK, range(1, 4), directions)
    assert torch.equal(draw_views(QUICK, range(2, 3), directions)[0], several[1])
    assert torch.equal(draw_views(replace(QUICK, views=3), range(1, 4), directions)[:, :2], several)
    assert len({view.sum().item() for step in several for view in step}) == 6
    assert not torch.equal(draw_views(replace(QUICK, seed=1), range(1, 4), directions), several)


def test_fixed_images_come_back_and_no_batch_holds_one_twice():
    config = replace(QUICK, num_images=5, batch_size=3, noise_low=0.0, noise_high=0.0)
    batches = draw_views(config, range(1, 40), eigen_directions(config))[:, 0]
    assert len(batches.flatten(0, 1).mul(1e3).round().unique(dim=0)) == 5
    assert all(len(batch.mul(1e3).round().unique(dim=0)) == 3 for batch in batches)


def test_run_repeats_itself_and_measures_where_it_was_asked_to():
    result, again = run_toy(QUICK), run_toy(QUICK)
    assert again == result
    assert [point.step for point in result.history] == [5, 10, 20]
    assert (result.captured, result.effective_rank) == (result.history[-1].captured, result.history[-1].effective_rank)
    assert run_toy(replace(QUICK, seed=1)).history != result.history
    assert run_toy(replace(QUICK, steps=10)).history == result.history[:2]  # no schedule looks at the end


def test_run_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    run_toy(replace(QUICK, steps=1))
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)


def test_weak_orthogonality_makes_features_duplicate_and_a_strong_one_does_not():
    weak, strong = (run_toy(ToyConfig(weight=weight, steps=400)) for weight in (1e-4, 0.1))
    assert weak.effective_rank < 6
    assert strong.effective_rank > 7.5
    assert min(weak.captured, strong.captured) > 0.5  # a random encoder has .125


@pytest.mark.parametrize(
    "loss", ["vicreg", "spectral", lambda z: simclr_loss(z, 0.5)], ids=["vicreg", "spectral", "any loss"]
)
def test_other_losses_learn_the_top_directions_too(loss):
    result = run_toy(ToyConfig(steps=150), loss) if callable(loss) else run_toy(ToyConfig(objective=loss, steps=150))
    assert result.captured > 0.3


@pytest.mark.parametrize(
    "options",
    [
        {"views": 1},
        {"dim": 0},
        {"top": 65},
        {"num_images": 64},
        {"noise_high": 0.1},
        {"weight": -1.0},
        {"seed": -1},
        {"weight": 1.0, "objective": "spectral"},
    ],
    ids=str,
)
def test_impossible_toy_is_refused_naming_the_field(options):
    with pytest.raises(InputError, match=rf"^{next(iter(options))}=.* give"):
        ToyConfig(**options)


def test_committed_medians_are_within_tolerance_of_the_reference_but_for_the_three_the_page_names():
    records = load_toys(RECORDS)
    outside = [c for name in EXPERIMENTS for c in compare(name, records) if not c.within]
    assert {c.cell for c in outside} == {"weight 0.0001", "2 views, 400 steps", "8 views, 100 steps"}
    assert all(abs(c.ours - c.expected.value) < 0.045 for c in outside)
    assert all(min(c.values) < c.expected.value < max(c.values) for c in outside)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_committed_records_can_be_made_again(name):
    for cell in (EXPERIMENTS[name].cells[0], EXPERIMENTS[name].cells[-1]):
        again = run_toy(ToyConfig(**dict(cell.settings)))
        kept = [r for r in load_toys(RECORDS) if r["case"]["cell"] == cell.name and r["case"]["seed"] == 0]
        end = next(r for r in kept if r["case"]["experiment"] == name and r["case"]["final"])["metrics"]
        # other processors round differently, and 1,500 steps make something of it
        assert again.captured == pytest.approx(end["captured"], abs=0.02)
        assert again.effective_rank == pytest.approx(end["effective_rank"], abs=0.2)
