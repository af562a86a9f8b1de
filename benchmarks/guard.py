"""Keeps one contestant's trouble its own: a limit of time, and its error in one line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raises `TimeoutError` inside after that many seconds."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError(too_long(seconds))

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:300]


def too_long(seconds: int) -> str:
    return f"took longer than {seconds} s to build, compile and check"
