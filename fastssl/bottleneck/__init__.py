"""Which stage limits training on this machine, for a dataset and a recipe, and what a change would gain."""

from fastssl.bottleneck.examination import examine
from fastssl.bottleneck.report import Report

__all__ = ["Report", "examine"]
