"""Writing betons: `write_dataset` by name or kind, `write_beton` from any source, `WriteOptions` how."""

from fastssl.data.dataset import default_options, write_dataset
from fastssl.data.options import WriteOptions
from fastssl.data.pack import Progress, write_beton

__all__ = ["Progress", "WriteOptions", "default_options", "write_beton", "write_dataset"]
