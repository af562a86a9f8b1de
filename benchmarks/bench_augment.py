"""A turn is one block of one contestant; turns come in shuffled blocks (see README.md)."""

import pytest


def test_contestant(turn, session, benchmark):
    block, position = turn
    entry = session.entries[position]
    if block == 0:
        session.prepare(entry)
        if entry.outcome == "wrong":
            pytest.fail(f"{entry.case.name}, {entry.name}: {entry.reason}", pytrace=False)
    if entry.outcome != "ok":
        pytest.skip(f"{entry.outcome}: {entry.reason}")
    session.measure(benchmark, entry)
