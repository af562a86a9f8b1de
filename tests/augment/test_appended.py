"""A module of the user's own behind a backend: what it sees, what becomes of its output, and what a run makes of it."""

import dataclasses

import kornia.augmentation as K
import pytest
import torch
from oracle import TOLERANCE
from torch import nn

from fastssl.augment import append, get_backend, make_views
from fastssl.augment.sample import sample_views
from fastssl.errors import InputError
from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.telemetry.records import read_records
from fastssl.train import resume, train
from fastssl.types import Batch
from fastssl.views import ViewKey, ViewSpec

NORM = {"mean": (0.49, 0.48, 0.45), "std": (0.25, 0.24, 0.26)}
SPECS = (
    ViewSpec(size=17, noise_p=0.5, erase_p=1.0, erase_value=0.7, **NORM),
    ViewSpec(size=9, rotation=20, erase_p=0.5, **NORM),
)


class Power(nn.Module):
    """value^exponent; keeps what it was given."""

    def __init__(self, exponent):
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(float(exponent)))
        self.seen = []

    def extra_repr(self):
        return f"{self.exponent.item():g}"

    def forward(self, views):
        self.seen.append(views.clone())
        return views**self.exponent


class Paired(nn.Module):
    def forward(self, views):
        return views, views


class Counted(nn.Module):
    def forward(self, views):
        return views.long()


def apply(backend, dtype=torch.float32, specs=SPECS):
    images = torch.randint(0, 256, (8, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    params = sample_views(specs, ViewKey(0, 0, 0, torch.arange(8)), 20, 24)
    return backend.apply_views(images, params, specs, dtype)


@pytest.mark.parametrize("name", ["reference", "kornia", "cpu"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_module_that_does_nothing_changes_nothing(name, dtype):
    backend = get_backend(name)
    for with_it, without in zip(apply(append(backend, nn.Identity()), dtype), apply(backend, dtype), strict=True):
        assert with_it.dtype == dtype
        assert with_it.is_contiguous(memory_format=torch.channels_last)
        assert (with_it.float() - without.float()).abs().max() <= TOLERANCE[dtype][0]


def test_module_sees_views_in_0_to_1_and_erasing_comes_after_it():
    module = Power(3)
    views = apply(append(get_backend("reference"), module))
    unit = [dataclasses.replace(spec, erase_p=0.0, mean=(0.0,) * 3, std=(1.0,) * 3) for spec in SPECS]
    for seen, expected in zip(module.seen, apply(get_backend("reference"), specs=unit), strict=True):
        assert seen.dtype == torch.float32
        assert torch.equal(seen, expected)
    params = sample_views(SPECS, ViewKey(0, 0, 0, torch.arange(8)), 20, 24)[0]
    for view, seen, box in zip(views[0], module.seen[0], params.erase, strict=True):
        expected = (seen**3 - torch.tensor(NORM["mean"]).view(3, 1, 1)) / torch.tensor(NORM["std"]).view(3, 1, 1)
        top, left, height, width = box.tolist()
        expected[:, top : top + height, left : left + width] = 0.7
        torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)
    assert params.erase[:, 2].any()


def test_module_runs_outside_autocast_and_without_gradients():
    module = Power(0.5)
    with torch.autocast("cpu", torch.bfloat16):
        (view, _) = apply(append(get_backend("reference"), module))
    assert torch.equal(view, apply(append(get_backend("reference"), module))[0])
    assert not view.requires_grad
    assert module.exponent.grad is None


@pytest.mark.parametrize(
    "module",
    [K.RandomPlasmaShadow(p=1.0), K.AugmentationSequential(K.RandomInvert(p=0.5), K.RandomChannelShuffle(p=0.5))],
    ids=lambda module: type(module).__name__,
)
def test_kornia_augmentation_can_be_appended(module):
    backend = append(get_backend("cpu"), module)
    assert backend.name.startswith(f"cpu+{type(module).__name__}(")
    assert "\n" not in backend.name
    torch.manual_seed(0)
    first = apply(backend)
    torch.manual_seed(0)
    again = apply(backend)
    for one, two, plain in zip(first, again, apply(get_backend("cpu")), strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, plain)
        assert one.isfinite().all()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.AvgPool2d(2), r"gave \(8, 3, 8, 8\) torch.float32 for views \(8, 3, 17, 17\)"),
        (Paired(), "Paired.. gave a tuple"),
        (Counted(), "gave .* torch.int64 .* returns floats"),
    ],
    ids=["half the size", "a tuple", "integers"],
)
def test_module_that_does_not_make_views_is_refused(module, words):
    with pytest.raises(InputError, match=words):
        apply(append(get_backend("reference"), module))


def test_module_whose_repr_differs_from_run_to_run_is_refused():
    class Wrapped(nn.Module):
        def extra_repr(self):
            return repr(object())

    with pytest.raises(InputError, match="extra_repr"):
        append(get_backend("reference"), Wrapped())


def test_appended_backend_supports_what_its_inner_backend_does():
    backend = append(get_backend("cpu"), nn.Identity())
    assert backend.supports(SPECS[0], torch.device("cpu")) is None
    assert "cannot read images on cuda" in backend.supports(SPECS[0], torch.device("cuda"))
    assert "mean or std is None" in backend.supports(ViewSpec(), torch.device("cpu"))
    batch = Batch(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2).long(), torch.arange(2))
    with pytest.raises(InputError, match="mean or std is None"):
        make_views(batch, [ViewSpec(size=8)], backend, seed=0, epoch=0)


# ---------------------------------------------------------------------------------------------------- in a run


def recipe():
    return dataclasses.replace(
        RECIPES["demo-simclr"](),
        data=DataConfig(dataset="tiny", loader="resident"),
        probe=ProbeConfig(probes=1, knn_k=5),
        batch_size=16,
        epochs=2,
        precision="fp32",
        backend="reference",
        device="cpu",
        checkpoint_s=0.0,
    )


class Interrupted(Exception):
    pass


def broken_run(folder, module, steps=6):
    seen = []

    def progress(share):
        seen.append(share)
        if len(seen) == steps:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(recipe(), append=module, runs_dir=folder, say=lambda line: None, progress=progress)
    (run,) = folder.iterdir()
    return run


def test_run_with_a_module_is_another_run_and_resumes_with_its_draws(tiny_dataset, tmp_path):
    shuffle = K.RandomChannelShuffle(p=0.5)
    plain = train(recipe(), runs_dir=tmp_path / "plain", say=lambda line: None)
    whole = train(recipe(), append=shuffle, runs_dir=tmp_path / "whole", say=lambda line: None)
    resumed = resume(broken_run(tmp_path / "broken", shuffle), append=shuffle, say=lambda line: None)
    assert whole.run != plain.run
    assert resumed.metrics == whole.metrics
    assert whole.metrics["loss"] != plain.metrics["loss"]
    (record,) = read_records([tmp_path / "whole" / whole.run / "records.jsonl"])
    assert record["case"]["backend"].startswith("reference+RandomChannelShuffle(")


def test_module_is_kept_off_the_probed_images(tiny_dataset, tmp_path):
    module = Power(1)
    train(recipe(), append=module, runs_dir=tmp_path, say=lambda line: None)
    assert {len(views) for views in module.seen} == {recipe().batch_size}


@pytest.mark.parametrize("other", [None, Power(3)], ids=["none", "another"])
def test_resuming_with_another_module_is_refused(other, tiny_dataset, tmp_path):
    run = broken_run(tmp_path, Power(2))
    with pytest.raises(InputError, match=r"but .* was trained with reference\+Power\(2\); give append"):
        resume(run, append=other, say=lambda line: None)


def test_resuming_a_plain_run_with_a_module_is_refused(tiny_dataset, tmp_path):
    run = broken_run(tmp_path, None)
    with pytest.raises(InputError, match=r"append makes the backend reference\+Power\(2\)"):
        resume(run, append=Power(2), say=lambda line: None)
