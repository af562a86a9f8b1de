"""Self-supervised methods, one file each: a config, a module, and the loss as a pure function of the embeddings.

`MethodConfig` is the registry. A new method is a new file, with its config in this union; `METHODS` follows.
"""

from typing import TypeAlias, get_args

from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.dino import DINOConfig
from fastssl.methods.dissl import DISSLConfig
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.methods.supervised import SupervisedConfig
from fastssl.methods.swav import SwAVConfig
from fastssl.methods.vicreg import VICRegConfig

MethodConfig: TypeAlias = (
    SimCLRConfig
    | BarlowTwinsConfig
    | VICRegConfig
    | DINOConfig
    | DISSLConfig
    | SwAVConfig
    | DIETConfig
    | SupervisedConfig
    | RandomEncoderConfig
)

METHODS: dict[str, type[MethodConfig]] = {config.kind: config for config in get_args(MethodConfig)}
"""Config class by `kind`, the name a recipe and a record carry."""

__all__ = ["METHODS", "MethodConfig"]
