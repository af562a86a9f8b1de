"""A run's encoder as a file that loads without this library, checked against it, with a card of what it wants."""

from fastssl.export.formats import FORMATS, FormatName
from fastssl.export.write import Exported, export_run

__all__ = ["FORMATS", "Exported", "FormatName", "export_run"]
