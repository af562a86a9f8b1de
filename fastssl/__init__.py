"""fastssl: self-supervised vision on one GPU, measured in accuracy per GPU-hour."""

__version__ = "0.1.0"
