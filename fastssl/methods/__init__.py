"""Self-supervised methods, one file each: a config, a module, and the loss as a pure function of the embeddings.

`MethodConfig` is the registry. A new method is a new file, with its config in this union; `METHODS` follows.
"""

from typing import TypeAlias, get_args

from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.byol import BYOLConfig
from fastssl.methods.cissl import CISSLConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.dino import DINOConfig
from fastssl.methods.directclr import DirectCLRConfig
from fastssl.methods.dissl import DISSLConfig
from fastssl.methods.idealized import IdealizedConfig
from fastssl.methods.moco_v3 import MoCoV3Config
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.methods.simsiam import SimSiamConfig
from fastssl.methods.spectral import SpectralConfig
from fastssl.methods.supervised import SupervisedConfig
from fastssl.methods.swav import SwAVConfig
from fastssl.methods.vicreg import VICRegConfig

MethodConfig: TypeAlias = (
    SimCLRConfig
    | CISSLConfig
    | DirectCLRConfig
    | MoCoV3Config
    | SpectralConfig
    | IdealizedConfig
    | BarlowTwinsConfig
    | VICRegConfig
    | BYOLConfig
    | SimSiamConfig
    | DINOConfig
    | SwAVConfig
    | DISSLConfig
    | DIETConfig
    | SupervisedConfig
    | RandomEncoderConfig
)

METHODS: dict[str, type[MethodConfig]] = {config.kind: config for config in get_args(MethodConfig)}
"""Config class by `kind`, the name a recipe and a record carry."""

__all__ = ["METHODS", "MethodConfig"]
