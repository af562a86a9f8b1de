"""Where a number was measured: true, quick, tolerant of what is missing, and free of names."""

import getpass
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch

import fastssl
from fastssl.errors import InputError
from fastssl.telemetry import environment
from fastssl.telemetry.schema import BLOCKS, without_paths


@pytest.fixture(autouse=True)
def no_memory():
    """The facts are read once per process; each test reads its own."""
    cached = [value for value in vars(environment).values() if hasattr(value, "cache_clear")]
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def test_facts_fit_the_schema():
    blocks = {
        "device": environment.device_facts("cpu"),
        "host": environment.host_facts(),
        "code": environment.code_version(),
    }
    for name, facts in blocks.items():
        assert [field for field, check in BLOCKS[name].items() if check(facts[field])] == []


def test_facts_name_neither_machine_nor_user_nor_folder():
    facts = [environment.device_facts("cpu"), environment.host_facts(), environment.software_versions()]
    texts = [str(value) for block in [*facts, environment.code_version()] for value in block.values()]
    assert not {socket.gethostname(), getpass.getuser(), str(Path.home())} & set(texts)
    assert [text for text in texts if without_paths(text) != text] == []
    json.dumps(facts, allow_nan=False)


def test_facts_are_quick():
    """In CPU time: what else the machine does is not ours."""
    for limit_s in (3.0, 0.1):
        begin = time.process_time()
        environment.host_facts(), environment.software_versions(), environment.code_version()
        assert time.process_time() - begin < limit_s


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert environment.host_facts()["cores"] == 3


def test_versions_are_those_installed():
    versions = environment.software_versions()
    assert torch.__version__.startswith(str(versions["torch"]))
    assert versions["fastssl"] == fastssl.__version__


def test_missing_library_has_no_version(monkeypatch):
    monkeypatch.setitem(environment.DISTRIBUTIONS, "triton", ("no-such-distribution-here",))
    assert environment.software_versions()["triton"] is None


def test_second_name_of_a_distribution_is_found(monkeypatch):
    monkeypatch.setitem(environment.DISTRIBUTIONS, "triton", ("no-such-distribution-here", "numpy"))
    assert environment.software_versions()["triton"] == environment.software_versions()["numpy"]


def test_cuda_asked_for_and_absent_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"^device=cuda but torch sees no CUDA device"):
        environment.device_facts("cuda")
    assert environment.device_facts()["kind"] == "cpu"


def _checkout(root, project="fastssl-vision"):
    (root / "fastssl").mkdir(parents=True)
    (root / "fastssl" / "__init__.py").write_text("")
    (root / "pyproject.toml").write_text(f'[project]\nname = "{project}"\n')
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture
def installed_in(monkeypatch):
    def place(root):
        monkeypatch.setattr(fastssl, "__file__", str(root / "fastssl" / "__init__.py"))

    return place


def test_code_of_our_checkout_has_a_commit_and_knows_changes(tmp_path, installed_in):
    root = _checkout(tmp_path / "ours")
    installed_in(root)
    clean = environment.code_version()
    assert re.fullmatch("[0-9a-f]{40}", clean["commit"])
    assert clean["dirty"] is False
    (root / "results.jsonl").write_text("records of a run change no code")
    environment.code_version.cache_clear()
    assert environment.code_version()["dirty"] is False
    (root / "fastssl" / "new.py").write_text("x = 1")
    environment.code_version.cache_clear()
    assert environment.code_version() == {**clean, "dirty": True}


def test_code_ignores_the_repository_a_hook_points_to(tmp_path, installed_in, monkeypatch):
    installed_in(_checkout(tmp_path / "ours"))
    monkeypatch.setenv("GIT_DIR", str(_checkout(tmp_path / "other", "other") / ".git"))
    ours = environment.code_version()["commit"]
    monkeypatch.delenv("GIT_DIR")
    environment.code_version.cache_clear()
    assert environment.code_version()["commit"] == ours is not None


@pytest.mark.parametrize("place", ["not ours", "below theirs", "no repository"])
def test_code_outside_our_checkout_has_a_version_only(tmp_path, installed_in, place):
    if place == "not ours":
        installed_in(_checkout(tmp_path / "theirs", "their-project"))
    elif place == "below theirs":
        inner = _checkout(tmp_path / "theirs", "their-project") / "vendored"
        (inner / "fastssl").mkdir(parents=True)
        (inner / "pyproject.toml").write_text('name = "fastssl-vision"\n')
        installed_in(inner)
    else:
        (tmp_path / "fastssl").mkdir()
        (tmp_path / "pyproject.toml").write_text('name = "fastssl-vision"\n')
        installed_in(tmp_path)
    assert environment.code_version() == {"commit": None, "dirty": None, "version": fastssl.__version__}


def test_code_without_git_has_a_version_only(tmp_path, installed_in, monkeypatch):
    installed_in(_checkout(tmp_path / "ours"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.code_version()["commit"] is None


@pytest.mark.parametrize(
    ("device", "slug"),
    [
        ({"kind": "cpu", "name": "AMD EPYC"}, "cpu-amd-epyc-2core"),
        ({"kind": "cpu", "name": "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz"}, "cpu-intel-xeon-gold-6148-cpu-2core"),
        ({"kind": "cuda", "name": "NVIDIA H200", "visible": 1}, "nvidia-h200"),
        ({"kind": "cuda", "name": "NVIDIA A100-SXM4-80GB", "visible": 8}, "nvidia-a100-sxm4-80gb-x8"),
    ],
)
def test_machine_slug_names_the_kind_of_machine(monkeypatch, device, slug):
    monkeypatch.setattr(environment, "device_facts", lambda kind: device)
    monkeypatch.setattr(environment, "usable_cores", lambda: 2)
    assert environment.machine_slug() == slug


def test_facts_survive_a_machine_without_proc(monkeypatch):
    monkeypatch.setattr(environment, "_read", lambda path: "")
    facts = environment.host_facts()
    assert facts["memory_bytes"] is None
    assert facts["cpu_quota_cores"] is None
    assert environment.free_memory_bytes() is None
    assert facts["cpu"]
    assert environment.cpu_flags() == frozenset()


def test_container_limits_count(monkeypatch):
    content = {"cpu.max": "150000 100000\n", "memory.max": "1073741824\n", "meminfo": "MemTotal:  16000000 kB\n"}
    monkeypatch.setattr(environment, "_read", lambda path: content.get(path.name, ""))
    assert environment.cpu_quota_cores() == 1.5
    assert environment.memory_bytes() == 1 << 30
