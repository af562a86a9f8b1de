import shutil
from pathlib import Path

import pytest

from tests.faults.betons import NUM_IMAGES, SIDE_PX


@pytest.fixture
def beton(tiny_beton, tmp_path):
    """`beton(mode, num_images)`: a private copy, with its sidecar, that a test may damage."""

    def copy(mode="raw", num_images=NUM_IMAGES) -> Path:
        source = tiny_beton(num_images, SIDE_PX, SIDE_PX, mode)
        for name in (source.name, source.name + ".json"):
            shutil.copy(source.with_name(name), tmp_path)
        return tmp_path / source.name

    return copy
