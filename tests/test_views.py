"""What a `ViewSpec` refuses, each time in one line that names the field and its value."""

import math
from dataclasses import fields, replace

import pytest

from fastssl.errors import InputError
from fastssl.views import OFF, ViewSpec, specs_in_turn

WRONG = [
    ("flip_p", 1.1),
    ("affine_p", -0.1),
    ("size", 0),
    ("size", 8.0),
    ("crop_scale", (0.0, 1.0)),
    ("erase_scale", (0.5, 0.2)),
    ("crop_ratio", (1.0, math.inf)),
    ("erase_ratio", (0.0, 1.0)),
    ("interpolation", "nearest"),
    ("pad", 32),
    ("pad", 1.5),
    ("rotation", 181),
    ("translate", 1.0),
    ("brightness", -0.1),
    ("brightness", math.nan),
    ("hue", 0.6),
    ("blur_kernel", 4),
    ("blur_sigma", (1.0, math.inf)),
    ("solarize_threshold", math.nan),
    ("noise_sigma", (-0.1, 0.1)),
    ("mean", (0.5, 0.5)),
    ("std", (0.1, math.nan, 0.1)),
    ("erase_value", math.inf),
    ("mean", 0.5),
    ("crop_ratio", 1.0),
    ("blur_sigma", None),
    ("crop_scale", (0.1,)),
    ("flip_p", "0.5"),
    ("std", (1.0, 2.0, "3")),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value}" for name, value in WRONG])
def test_impossible_field_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"^{name}=") as refused:
        ViewSpec(**{name: value})
    assert "\n" not in str(refused.value)
    assert "give" in str(refused.value)


def test_off_switches_every_probability_off():
    assert {field.name for field in fields(ViewSpec) if field.name.endswith("_p")} <= {*OFF, "affine_p"}
    plain = ViewSpec.plain(8)
    assert replace(plain, rotation=10.0).warps  # one field brings an operation back
    assert replace(plain, jitter_p=0.5).jitters
    assert not plain.jitters
    assert not replace(ViewSpec(rotation=10.0), **OFF).warps
    assert replace(ViewSpec(crop_scale=None, size=8), **OFF) == plain


def test_statistics_fill_what_a_spec_leaves_open():
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    assert ViewSpec().with_statistics(mean, std) == ViewSpec(mean=mean, std=std)
    own = ViewSpec(mean=(0.0, 0.0, 0.0))
    assert own.with_statistics(mean, std) == ViewSpec(mean=(0.0, 0.0, 0.0), std=std)


def test_specs_follow_each_other_in_turn():
    first, second = ViewSpec(size=8), ViewSpec(size=16)
    assert specs_in_turn([first, second], 5) == (first, second, first, second, first)
    assert specs_in_turn([first, second], 1) == (first,)
