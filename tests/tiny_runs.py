"""Runs on the dataset `tiny` that take a second, and a way to stop one."""

import dataclasses

from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES


def tiny(name="demo-simclr", **change):
    """A recipe of two epochs of four steps on small views, in float32 so that equality means equality."""
    recipe = RECIPES[name]()
    defaults = {
        "spec": dataclasses.replace(recipe.spec, size=16),
        "data": DataConfig(dataset="tiny", loader="resident"),
        "probe": ProbeConfig(probes=2, knn_k=5),
        "batch_size": 16,
        "epochs": 2,
        "precision": "fp32",
        "backend": "reference",
        "device": "cpu",
        "checkpoint_s": 1e9,
    }
    return dataclasses.replace(recipe, **{**defaults, **change})


class Interrupted(Exception):
    pass


def interrupted_after(steps):
    """A progress callback that stops the run as an exception would, after a number of steps."""
    seen = 0

    def progress(share):
        nonlocal seen
        seen += 1
        if seen == steps:
            raise Interrupted

    return progress
