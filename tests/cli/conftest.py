"""The command line as a user meets it: arguments in, exit status, two streams and files out."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from fastssl.cli import main


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on the last line of standard output."""
        return json.loads(self.out.strip().splitlines()[-1])


@pytest.fixture
def fastssl(tmp_path, monkeypatch, capsys):
    """`fastssl(*arguments)` runs a command in an empty folder and gives back its `Outcome`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path / "betons"))

    def run(*arguments: object) -> Outcome:
        status = main([str(a) for a in arguments])
        streams = capsys.readouterr()
        return Outcome(status, streams.out, streams.err)

    return run
