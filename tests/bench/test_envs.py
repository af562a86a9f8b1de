"""Where the peers live: a missing one says why, an unknown one is wrong use."""

import subprocess
import sys
import zipfile

import pytest

from benchmarks import envs


@pytest.fixture(autouse=True)
def peers(tmp_path, monkeypatch):
    monkeypatch.setattr(envs, "PEERS_DIR", tmp_path / ".peers")
    (tmp_path / ".peers").mkdir()
    return tmp_path / ".peers"


def test_without_a_peer_it_is_this_interpreter():
    assert str(envs.python_of(None)) == sys.executable


def test_a_peer_that_was_never_installed_names_the_command():
    with pytest.raises(FileNotFoundError, match="`make peers PEERS=dali` installs it"):
        envs.python_of("dali")


def test_a_peer_that_could_not_be_installed_says_why(peers):
    (peers / "dali.txt").write_text("No matching distribution found for nvidia-dali\n")
    with pytest.raises(FileNotFoundError, match="not installed: No matching distribution found for nvidia-dali"):
        envs.python_of("dali")


def test_an_installed_peer_sees_what_is_installed_here_and_hides_what_it_has_itself(peers, monkeypatch):
    """A wheel of nothing stands for one from an index."""
    wheel, info = peers.parent / "peer_of_nothing-1-py3-none-any.whl", "peer_of_nothing-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("peer_of_nothing.py", "")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: peer-of-nothing\nVersion: 1\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    monkeypatch.setitem(envs.PACKAGES, "nothing", ("--no-index", str(wheel)))
    assert envs.install("nothing") == ""
    done = subprocess.run(
        [envs.python_of("nothing"), "-c", "import peer_of_nothing, torch; print(peer_of_nothing.__file__)"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert str(peers / "nothing") in done.stdout


def test_a_failed_installation_leaves_its_reason_and_ends_with_zero(peers, monkeypatch, capsys):
    monkeypatch.setitem(envs.PACKAGES, "nothing", ("--no-index", "no-such-package-anywhere"))
    monkeypatch.setattr(sys, "argv", ["envs", "nothing"])
    assert envs.main() == 0
    assert "1/1 nothing: No matching distribution found for no-such-package-anywhere" in capsys.readouterr().out
    assert "no-such-package" in (peers / "nothing.txt").read_text()


def test_an_unknown_peer_is_wrong_use(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["envs", "dally"])
    with pytest.raises(SystemExit) as end:
        envs.main()
    assert end.value.code == 2
    assert "dally: unknown; give some of webdataset" in capsys.readouterr().err
