"""The contract lets the right contestants through and names what is wrong with others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle import TOLERANCE

from benchmarks import contract
from benchmarks.cases import IMAGENET, Case, cases, groups
from benchmarks.peers import Contestant, Unsupported, build, drawn
from benchmarks.session import Session, photographs
from fastssl.augment import get_backend
from fastssl.views import ViewSpec

SPECS = (ViewSpec(size=32, **IMAGENET),) * 2
IMAGES = photographs(Case("", SPECS, 32, 32, 64, ()), 0)


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


def test_shuffled_batch_is_named():
    lines = breaches_of(changed(lambda views: tuple(view.flip(0).contiguous(memory_format=torch.channels_last)
                                                    for view in views)))  # fmt: skip
    assert any("not of the image in their place" in line for line in lines)


def test_tolerances_are_those_of_the_tests():
    assert {dtype: worst for dtype, (worst, _) in TOLERANCE.items()} == contract.TOLERANCE


def test_every_block_holds_every_contestant_once_in_another_order():
    session = Session("simclr-32", "cpu", quick=True)
    turns = np.array([position for _, position in session.turns()]).reshape(session.num_blocks, -1)
    assert [sorted(block) for block in turns.tolist()] == [list(range(len(session.entries)))] * session.num_blocks
    assert len({tuple(block) for block in turns.tolist()}) > 1


def test_wrong_contestant_becomes_a_record_without_samples(monkeypatch, tmp_path):
    from fastssl.telemetry.records import read_records

    session = Session("simclr-32", "cpu", quick=True)
    session.entries = [entry for entry in session.entries if entry.name == "cpu"]
    small = replace(session.entries[0].case, batch=32)
    session.entries[0].case = small
    monkeypatch.setattr(
        "benchmarks.session.build", lambda *given: changed(lambda views: views[:1])(small.specs, 32, 32)
    )
    session.prepare(session.entries[0])
    session.write(tmp_path / "records.jsonl")
    (record,) = read_records([tmp_path / "records.jsonl"])
    assert record["outcome"] == "wrong"
    assert record["samples"] == []
    assert record["case"]["reason"] == "1 views, not 2"


def test_unknown_operation_of_a_peer_is_a_failure_with_its_reason():
    noisy = replace(SPECS[0], noise_p=1.0, noise_sigma=(0.1, 0.2))
    with pytest.raises(Unsupported, match="one sigma"):
        build("torchvision v2", (noisy,), 32, 32, "cpu", torch.float32)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_cases_have_names_of_their_own_and_known_traffic(device):
    found = [case for group in groups(device, quick=False) for case in cases(group, device, quick=False)]
    assert len({case.name for case in found}) == len(found)
    plain = next(case for case in found if case.name.startswith("ops-32/plain"))
    assert plain.bytes_per_view == 32 * 32 * 3 * (1 + plain.dtype.itemsize)
