"""Several batches under way at once, in order, with a clean end."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from fastssl.errors import InputError

Step = TypeVar("Step")
Made = TypeVar("Made")


def make_ahead(
    threads: ThreadPoolExecutor, make: Callable[[Step], Made], steps: Iterable[Step], depth: int
) -> Generator[Made, None, None]:
    """make(step) for each step, in order, with at most `depth` of them begun and not yet taken.

    What a call raises comes out in its place. However the iteration ends, no call is running afterwards. Raises
    `InputError` when the threads are shut down before that: their loader was closed.
    """
    remaining, begun = iter(steps), deque[Future[Made]]()
    try:
        while True:
            while len(begun) < depth and (step := next(remaining, None)) is not None:
                begun.append(_begin(threads, make, step))
            if not begun:
                return
            begun[0].result()  # taken out afterwards: an interrupt while it is waited for must find it
            yield begun.popleft().result()
    except CancelledError:
        raise closed() from None
    finally:
        # One that could be cancelled never runs, and on threads that were shut down never counts as done either.
        wait([future for future in begun if not future.cancel()])


def check_counts(num_workers: int, batches_ahead: int = 1) -> None:
    """Raises `InputError` for a loader without threads, or without a batch under way."""
    if num_workers < 1:
        raise InputError(f"num_workers={num_workers} is not a number of threads; give 1 or more")
    if batches_ahead < 1:
        raise InputError(f"batches_ahead={batches_ahead} is not a number of batches; give 1 or more")


def closed() -> InputError:
    """The error to raise for an epoch of a loader that is no more."""
    return InputError("the loader was closed, and an epoch of it is still asked for; close it last")


def _begin(threads: ThreadPoolExecutor, make: Callable[[Step], Made], step: Step) -> Future[Made]:
    try:
        return threads.submit(make, step)
    except RuntimeError:  # all that `submit` raises
        raise closed() from None
