"""The contract lets the right contestants through and names what is wrong with others."""

from dataclasses import replace

import pytest
import torch
from oracle import TOLERANCE

from benchmarks import contract
from benchmarks.cases import IMAGENET
from benchmarks.peers import Contestant, Unsupported, build, drawn
from benchmarks.session import photographs
from fastssl.augment import get_backend
from fastssl.views import ViewSpec

SPECS = (ViewSpec(size=32, **IMAGENET),) * 2
IMAGES = photographs(64, 32, 32, 0)


def breaches_of(make_contestant, specs=SPECS, dtype=torch.float32):
    contestant = make_contestant(specs, IMAGES.shape[2], IMAGES.shape[3])
    return contract.breaches(contestant, make_contestant, specs, IMAGES, dtype)


def named(name):
    return lambda specs, height, width: build(name, specs, height, width, "cpu", torch.float32)


def changed(change, ours=False, by_spec=lambda spec: spec):
    """The cpu backend with other specs than it was asked for, or with its views changed."""

    def make_contestant(specs, height, width):
        backend, used = get_backend("cpu"), [by_spec(spec) for spec in specs]
        return Contestant(
            lambda images, step: change(backend.apply_views(images, drawn(used, images, step), used, torch.float32)),
            "",
            ours=ours,
        )

    return make_contestant


def same(views):
    return views


@pytest.mark.parametrize("name", ["cpu", "kornia"])
def test_our_backends_meet_the_contract(name):
    assert breaches_of(named(name)) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_right_work_meets_the_contract_for_those_who_draw_themselves(dtype):
    assert breaches_of(changed(lambda views: tuple(view.to(dtype) for view in views)), dtype=dtype) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reference", "kornia own", "kornia own, sliced", "torchvision v2", "torchvision PIL"])
def test_peer_meets_the_contract(name):
    assert breaches_of(named(name)) == []


WRONG_VIEWS = {
    "one view too few": (lambda views: views[:1], "1 views, not 2"),
    "half precision": (lambda views: tuple(view.half() for view in views), "torch.float16, not torch.float32"),
    "another size": (lambda views: tuple(view[..., :16] for view in views), "not (64, 3, 32, 32)"),
    "channels first": (lambda views: tuple(view.contiguous() for view in views), "not in channels-last"),
    "bytes, not shares": (lambda views: tuple(view * 255 for view in views), "not within 0 to 1"),
    "not a number": (lambda views: tuple(view / 0 * 0 for view in views), "no numbers"),
    "nothing": (lambda views: tuple(view * 0 for view in views), "show no picture"),
}


@pytest.mark.parametrize("case", WRONG_VIEWS)
def test_wrong_views_are_named(case):
    change, words = WRONG_VIEWS[case]
    assert any(words in line for line in breaches_of(changed(change, ours=True)))


def test_views_off_the_reference_by_a_hundredth_are_named():
    lines = breaches_of(changed(lambda views: tuple(view + 0.01 for view in views), ours=True))
    assert any("away from the reference" in line for line in lines)


WRONG_WORK = {
    "never flips": ({"flip_p": 0.0}, "flipped"),
    "always flips": ({"flip_p": 1.0}, "flipped"),
    "milder crops": ({"crop_scale": (0.2, 1.0)}, "crop area"),
    "square crops": ({"crop_ratio": (1.0, 1.0)}, "crop ratio"),
    "no crop": ({"crop_scale": None}, "crop area"),
    "no jitter": ({"jitter_p": 0.0}, "changed by jitter"),
    "jitter always": ({"jitter_p": 1.0}, "changed by jitter"),
    "half the brightness": ({"brightness": 0.2}, "brightness factors"),
    "gray too often": ({"gray_p": 0.5}, "changed by gray"),
    "gray never": ({"gray_p": 0.0}, "changed by gray"),
}


def only_where_on(spec, change):
    """The change, except where a probe has switched the operation off."""
    probes = {"brightness": spec.jitters and spec.brightness > 0}
    on = {name: probes.get(name, getattr(spec, name) not in (0.0, None)) for name in change}
    return replace(spec, **{name: value for name, value in change.items() if on[name]})


@pytest.mark.parametrize("case", WRONG_WORK)
def test_other_work_is_named(case):
    change, words = WRONG_WORK[case]
    lines = breaches_of(changed(same, by_spec=lambda spec: only_where_on(spec, change)), SPECS[:1])
    assert lines
    assert any(words in line for line in lines)


def test_one_draw_for_the_whole_batch_is_named():
    """What torchvision v2 does with a batch in one call."""
    from torchvision.transforms import v2

    def make_contestant(specs, height, width):
        spec = specs[0]
        steps = [v2.Resize((spec.size, spec.size), antialias=True)]
        if spec.crop_scale is not None:
            steps = [v2.RandomResizedCrop((spec.size, spec.size), spec.crop_scale, spec.crop_ratio, antialias=True)]
        chain = v2.Compose([*steps, v2.RandomHorizontalFlip(spec.flip_p), v2.ToDtype(torch.float32, scale=True),
                            v2.Normalize(spec.mean, spec.std)])  # fmt: skip
        return Contestant(
            lambda images, step: (chain(images).contiguous(memory_format=torch.channels_last),) * len(specs), ""
        )

    lines = breaches_of(make_contestant)
    assert any("crop area" in line for line in lines)
    assert any("one draw served both" in line for line in lines)


@pytest.mark.parametrize("prepare", [lambda batch: batch, lambda batch: list(batch.unbind(0))], ids=["batch", "list"])
def test_contestant_that_writes_to_its_input_is_named(prepare):
    def make_contestant(specs, height, width):
        def make(images, step):
            views = named("cpu")(specs, height, width).make(IMAGES, step)
            images[0][:] = 0
            return views

        return Contestant(make, "", prepare, ours=True)

    contestant = make_contestant(SPECS, 32, 32)
    lines = contract.breaches(contestant, make_contestant, SPECS, IMAGES.clone(), torch.float32)
    assert "it has written to its input, which others read too" in lines


def test_shuffled_batch_is_named():
    lines = breaches_of(changed(lambda views: tuple(view.flip(0).contiguous(memory_format=torch.channels_last)
                                                    for view in views)))  # fmt: skip
    assert any("not of the image in their place" in line for line in lines)


def test_tolerances_are_those_of_the_tests():
    assert {dtype: worst for dtype, (worst, _) in TOLERANCE.items()} == contract.TOLERANCE


def test_unknown_operation_of_a_peer_is_a_failure_with_its_reason():
    noisy = replace(SPECS[0], noise_p=1.0, noise_sigma=(0.1, 0.2))
    with pytest.raises(Unsupported, match="one sigma"):
        build("torchvision v2", (noisy,), 32, 32, "cpu", torch.float32)
