"""Every format is checked against the library, has a card, and leaves nothing half-written."""

import builtins
import errno
import json
import os

import pytest
import torch

from fastssl.cli import main
from fastssl.export import FORMATS, export_run
from fastssl.export.rebuild import rebuild_code
from fastssl.models import ModelConfig
from fastssl.probing.subject import open_run


def run_json(capsys, *arguments):
    status = main([*map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_the_librarys_features_for_batches_of_any_size(run_of, tmp_path, name):
    run = run_of()
    done = export_run(run, name, tmp_path / "out" / "encoder")
    forward = FORMATS[name].load(tmp_path / "out" / "encoder", done.card["rebuild"])
    encoder = open_run(run, device="cpu").encoder
    for num in (1, 5):
        views = torch.linspace(-1, 1, num * 3 * 16 * 16).cos().view(num, 3, 16, 16)
        with torch.inference_mode():
            torch.testing.assert_close(forward(views), encoder(views), atol=1e-5, rtol=1e-4)
    assert done.card["max_abs_error"] < 1e-5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["encoder", "encoder.json", "encoder.md"]


@pytest.mark.parametrize(
    "name", ["torchscript", *(pytest.param(name, marks=pytest.mark.slow) for name in ("torch-export", "onnx"))]
)
def test_a_head_before_the_pooling_is_exported_with_its_network(run_of, tmp_path, name):
    done = export_run(run_of("nano", feature_dim=512), name, tmp_path / "encoder")
    assert done.card["feature_dim"] == 512
    assert done.card["rebuild"] is None


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(arch="nano", width=2.0),
        ModelConfig(arch="micro", width=0.5),
        ModelConfig(arch="resnet18"),
        ModelConfig(arch="resnet18", small_stem=False),
        ModelConfig(arch="resnet50", width=0.5),
    ],
    ids=str,
)
def test_the_cards_code_builds_the_network(model):
    encoder, _ = model.build(32)
    names = {}
    exec(rebuild_code(model, encoder, 32), names)
    network = names["network"]
    network.load_state_dict(encoder.state_dict(), strict=True)
    views = torch.linspace(-1, 1, 2 * 3 * 32 * 32).cos().view(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(views), encoder.eval()(views), atol=1e-4, rtol=1e-4)


def test_the_card_tells_what_the_encoder_wants(run_of, tmp_path, capsys):
    run = run_of()
    status, document = run_json(capsys, "export", run, "--format", "safetensors", "--out", tmp_path / "e.safetensors")
    assert status == 0
    card = json.loads((tmp_path / "e.safetensors.json").read_text())
    assert card == document["card"]
    assert (card["input_size"], card["feature_dim"], card["step"], card["channels"]) == (16, 256, 7, "RGB")
    assert len(card["mean"]) == len(card["std"]) == 3
    assert card["probe"] is None
    assert card["identity"].startswith(run.name.rpartition("-")[2])
    assert "largest central square" in (tmp_path / "e.safetensors.md").read_text()
    from safetensors import safe_open

    with safe_open(tmp_path / "e.safetensors", "pt") as file:
        inside = json.loads(file.metadata()["fastssl"])
    assert inside["mean"] == card["mean"]


def test_a_file_that_gives_other_features_is_not_kept(run_of, tmp_path, monkeypatch, capsys):
    import fastssl.export.formats as formats

    kept = formats._weights
    monkeypatch.setattr(formats, "_weights", lambda e: {k: v * 1.01 if v.ndim == 4 else v for k, v in kept(e).items()})
    out = tmp_path / "out" / "encoder.pt"
    assert main(["export", str(run_of()), "--out", str(out)]) == 1
    assert "gives other features" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


def test_a_full_disk_leaves_nothing(run_of, tmp_path, monkeypatch, capsys):
    run, out = run_of(), tmp_path / "out" / "encoder.pt"

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["export", str(run), "--out", str(out)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "missing"), [("safetensors", "safetensors"), ("onnx", "onnx"), ("onnx", "onnxruntime")]
)
def test_a_missing_library_is_one_line(run_of, tmp_path, monkeypatch, capsys, name, missing):
    real = builtins.__import__

    def without(module, *rest, **more):
        if module.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(module, *rest, **more)

    run = run_of()
    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["export", str(run), "--format", name, "--out", str(tmp_path / "e")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"format={name} needs {missing}" in line
    assert "fastssl-vision[export]" in line


def _no_checkpoint(run, tmp_path):
    (run / "checkpoint.pt").unlink()
    return [str(run), "--out", str(tmp_path / "e")]


def _damaged_recipe(run, tmp_path):
    (run / "recipe.json").write_text("{")
    return [str(run), "--out", str(tmp_path / "e")]


BAD = {
    "no run": (lambda run, tmp: ["nothing", "--out", str(tmp / "e")], 1, "run=nothing is no run"),
    "no checkpoint": (_no_checkpoint, 1, "has not saved a checkpoint yet"),
    "damaged recipe": (_damaged_recipe, 1, "is damaged"),
    "unknown format": (lambda run, tmp: [str(run), "--format", "h5", "--out", str(tmp / "e")], 2, "h5"),
    "out is a folder": (lambda run, tmp: [str(run), "--out", str(tmp)], 1, "is a folder"),
    "out below a file": (lambda run, tmp: [str(run), "--out", str(run / "finished" / "e")], 1, "cannot be written"),
}


@pytest.mark.parametrize(("arguments", "status", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(run_of, tmp_path, capsys, arguments, status, said):
    run = run_of()
    (run / "finished").touch()
    assert main(["export", *arguments(run, tmp_path)]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "e").exists()


def test_weights_alone_of_a_head_without_plain_code_are_refused(run_of, tmp_path, capsys):
    assert main(["export", str(run_of("nano", feature_dim=512)), "--out", str(tmp_path / "e")]) == 1
    assert "feature_dim=512" in capsys.readouterr().err


def test_help_names_an_example(capsys):
    assert main(["export", "--help"]) == 0
    assert "fastssl export runs/RUN" in capsys.readouterr().out
