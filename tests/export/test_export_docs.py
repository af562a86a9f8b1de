"""The blocks of docs/export.md load an encoder where this library cannot be imported, and give its features."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastssl.export import export_run
from fastssl.probing.subject import open_run

TEXT = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
BLOCKS = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
CASES = {
    "torchscript": ("torchscript", "nano", "encoder.torchscript"),
    "torch-export": ("torch-export", "nano", "encoder.pt2"),
    "onnx": ("onnx", "micro", "encoder.onnx"),
    "state_dict of a ResNet": ("state_dict", "resnet18", "encoder.pt"),
    "state_dict of nano": ("state_dict", "nano", "encoder.pt"),
    "safetensors of micro": ("safetensors", "micro", "encoder.safetensors"),
}
WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fastssl":
            raise ImportError("this library is not to be imported")
sys.meta_path.insert(0, Blocker())
try:
    import fastssl
except ImportError:
    pass
else:
    raise SystemExit("the library could be imported")
"""


def test_every_block_is_tried_and_short():
    assert set(BLOCKS) == {"One image", *CASES}
    assert all(sum(map(bool, block.splitlines())) <= 10 for block in BLOCKS.values())


@pytest.mark.parametrize("title", CASES)
def test_a_block_gives_the_librarys_features(run_of, tmp_path, title):
    name, arch, file = CASES[title]
    run = run_of(arch)
    card = export_run(run, name, tmp_path / file).card
    (tmp_path / f"{file}.json").rename(tmp_path / "encoder.json")
    pixels = (np.arange(16 * 16 * 3).reshape(16, 16, 3) * 37 % 256).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    keep = "\nimport numpy; numpy.save('features.npy', numpy.asarray(torch.as_tensor(features).detach()))"
    code = WITHOUT + BLOCKS["One image"] + BLOCKS[title] + keep
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    view = (torch.from_numpy(pixels) / 255 - torch.tensor(card["mean"])) / torch.tensor(card["std"])
    with torch.inference_mode():
        wanted = open_run(run, device="cpu").encoder(view.permute(2, 0, 1)[None])
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), wanted.numpy(), atol=1e-4, rtol=1e-3)
