"""Compiles the kernel of the views for GPUs that need not be here: `compile_augment_views.py all|usual`.

A process of its own, as a test process has set the kernels to be interpreted. Prints one line per variant.
"""

import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fastssl.kernels.augment_views import BLOCK, NUM_WARPS, augment_views_kernel

ARCHITECTURES = (80, 90)
POINTERS = {"rows": "*i64", "table": "*i32", "scratch": "*fp32"}
INTEGERS = ("b", "image_stride", "channel_stride", "row_stride", "column_stride")
USUAL = {"HAS_ROWS": False, "SIZE": 32, "CUBIC": False, "ANTIALIAS": True, "SHRINKS": False, "MOVES": False,
         "AFFINE": False, "JITTER": True, "BLUR": False, "TAPS": 3, "NOISE": False, "ERASE": False,
         "BLOCK": BLOCK}  # fmt: skip
CHANNELS_LAST = {"channel_stride": 1}
LARGE = {**CHANNELS_LAST, "SIZE": 224, "SHRINKS": True, "BLUR": True, "TAPS": 23}
EVERYTHING = {"MOVES": True, "AFFINE": True, "BLUR": True, "NOISE": True, "ERASE": True, "HAS_ROWS": True}


def variants(which):
    """(name, dtype of the images, dtype of the views, constants). A stride of 1 is a constant when launched, too."""
    yield "usual", "u8", "bf16", CHANNELS_LAST
    if which == "all":
        yield "large", "u8", "bf16", LARGE
        yield "plain", "u8", "bf16", {"JITTER": False}
        for image, out in (("u8", "bf16"), ("u8", "fp32"), ("fp16", "fp16"), ("fp32", "fp32")):
            yield "everything", image, out, EVERYTHING
        for antialias, shrinks in ((True, True), (True, False), (False, False)):
            yield "everything, bicubic", "u8", "bf16", {
                **LARGE, **EVERYTHING, "CUBIC": True, "ANTIALIAS": antialias, "SHRINKS": shrinks,
            }  # fmt: skip


def compile_for(architecture, image, out, changed):
    """The compiled kernel; its `asm` holds PTX and machine code."""
    constants = {**USUAL, **changed}
    types = {"images": f"*{image}", "out": f"*{out}", **POINTERS, **dict.fromkeys(INTEGERS, "i32")}
    names = [name for name in augment_views_kernel.arg_names if name not in constants]
    signature = {name: types.get(name, "fp32") for name in names}
    if [int(part) for part in triton.__version__.split(".")[:2]] >= [3, 3]:
        signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(augment_views_kernel, signature, constants)
    options = {"num_warps": NUM_WARPS, "enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


if __name__ == "__main__":
    for architecture in ARCHITECTURES:
        for name, image, out, changed in variants(sys.argv[1]):
            made = compile_for(architecture, image, out, changed)
            print(f"sm_{architecture} {name}: {image} to {out}, {len(made.asm['cubin'])} bytes")
