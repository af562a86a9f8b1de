"""Compiles the Triton kernels for GPUs that need not be here: `compile_kernels.py all|usual ARCHITECTURE...`.

A process of its own, as a test process has set the kernels to be interpreted. Prints one line per variant.
"""

import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fastssl.augment.sample_triton import DRAW_OPTIONS, draw_kernel
from fastssl.kernels.augment_views import BLOCK, NUM_WARPS, augment_views_kernel

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


def compile_views(architecture, image, out, changed):
    """The kernel of the views, compiled; its `asm` holds PTX and machine code."""
    types = {"images": f"*{image}", "out": f"*{out}", **POINTERS, **dict.fromkeys(INTEGERS, "i32")}
    return compile_for(architecture, augment_views_kernel, types, {**USUAL, **changed},
                       {"num_warps": NUM_WARPS, "enable_fp_fusion": True})  # fmt: skip


def compile_draw(architecture):
    """The kernel that draws their parameters, compiled."""
    types = {"index": "*i64", "wholes": "*i64", "floats": "*fp64", "orders": "*i64", "table": "*i32",
             "num_samples": "i32", "seed": "i64", "epoch": "i64", "first_view": "i64"}  # fmt: skip
    constants = {"BLOCK": 64}
    return compile_for(architecture, draw_kernel, types, constants, DRAW_OPTIONS)


def compile_for(architecture, kernel, types, constants, options):
    names = [name for name in kernel.arg_names if name not in constants]
    signature = {name: types.get(name, "fp32") for name in names}
    if [int(part) for part in triton.__version__.split(".")[:2]] >= [3, 3]:
        signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature, constants)
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


if __name__ == "__main__":
    for architecture in map(int, sys.argv[2:]):
        made = compile_draw(architecture)
        fused = made.asm["ptx"].count("fma.rn.f64")  # a fused product would round otherwise than the other samplers
        print(f"sm_{architecture} draw: {len(made.asm['cubin'])} bytes, {fused} fused products")
        for name, image, out, changed in variants(sys.argv[1]):
            made = compile_views(architecture, image, out, changed)
            print(f"sm_{architecture} {name}: {image} to {out}, {len(made.asm['cubin'])} bytes")
