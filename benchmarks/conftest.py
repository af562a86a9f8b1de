"""Options of one process of a campaign; `python -m benchmarks` starts one per group."""

from pathlib import Path

import pytest

from benchmarks.session import Session


def pytest_addoption(parser):
    group = parser.getgroup("augmentation benchmarks")
    group.addoption("--group", default="simclr-32", help="which cases (benchmarks/README.md)")
    group.addoption("--bench-device", default="cpu", choices=("cpu", "cuda"))
    group.addoption("--records", type=Path, default=Path("runs/bench/augment.jsonl"), help="appended to")
    group.addoption("--contestants", default="", help="which, with commas between; all by default")
    group.addoption("--quick", action="store_true", help="fewer blocks and rounds, no torch.compile")


def pytest_configure(config):
    option = config.getoption
    config.augment_session = Session(
        option("--group"), option("--bench-device"), option("--quick"), option("--contestants")
    )


def pytest_generate_tests(metafunc):
    if "turn" in metafunc.fixturenames:
        session = metafunc.config.augment_session
        turns = session.turns()
        names = [f"{block}-{session.entries[at].case.name}-{session.entries[at].name}" for block, at in turns]
        metafunc.parametrize("turn", turns, ids=names)


@pytest.fixture
def session(request):
    return request.config.augment_session


def pytest_sessionfinish(session):
    session.config.augment_session.write(session.config.getoption("--records"))
