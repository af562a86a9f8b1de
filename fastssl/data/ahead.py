"""Several batches under way at once, in order, with a clean end."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Step = TypeVar("Step")
Made = TypeVar("Made")


def make_ahead(
    threads: ThreadPoolExecutor, make: Callable[[Step], Made], steps: Iterable[Step], depth: int
) -> Generator[Made, None, None]:
    """make(step) for each step, in order, with at most `depth` of them begun and not yet taken.

    What a call raises comes out in its place. However the iteration ends, no call is running afterwards.
    """
    remaining, begun = iter(steps), deque[Future[Made]]()
    try:
        while True:
            while len(begun) < depth and (step := next(remaining, None)) is not None:
                begun.append(threads.submit(make, step))
            if not begun:
                return
            begun[0].result()  # taken out afterwards: an interrupt while it is waited for must find it
            yield begun.popleft().result()
    finally:
        # One that could be cancelled never runs, and on threads that were shut down never counts as done either.
        wait([future for future in begun if not future.cancel()])
