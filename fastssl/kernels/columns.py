"""Columns of `ViewParams.table`, as Triton wants its constants: those of `views.py` under the same names."""

import triton.language as tl

from fastssl import views

CROP_AT, FLIP_AT, VERTICAL_FLIP_AT = (tl.constexpr(at) for at in (views.CROP_AT, views.FLIP_AT, views.VERTICAL_FLIP_AT))
SHIFT_AT, GRAY_AT, SOLARIZE_AT = (tl.constexpr(at) for at in (views.SHIFT_AT, views.GRAY_AT, views.SOLARIZE_AT))
ORDER_AT, ERASE_AT, TRANSLATE_AT = (tl.constexpr(at) for at in (views.ORDER_AT, views.ERASE_AT, views.TRANSLATE_AT))
NOISE_KEY_AT, NOISE_AT, ANGLE_AT = (tl.constexpr(at) for at in (views.NOISE_KEY_AT, views.NOISE_AT, views.ANGLE_AT))
BRIGHTNESS_AT, CONTRAST_AT, SIGMA_AT = (
    tl.constexpr(at) for at in (views.BRIGHTNESS_AT, views.CONTRAST_AT, views.SIGMA_AT)
)
NUM_WORDS = tl.constexpr(views.NUM_WORDS)
