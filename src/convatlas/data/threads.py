"""Work on many pictures in threads, a bounded part of it waiting."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

AT_ONCE: Final = 1024  # all of a million would hold a gigabyte of what is still to be done

Result = TypeVar("Result")


def in_order(work: Callable[[int], Result], count: int, threads: int) -> Iterator[Result]:
    """work(0), work(1) … work(count - 1), in this order; what it raises is raised here, and no more is begun then."""
    pool = ThreadPoolExecutor(threads)  # decoders work outside of Python's lock
    try:
        for begin in range(0, count, AT_ONCE):
            yield from pool.map(work, range(begin, min(begin + AT_ONCE, count)))
    finally:
        pool.shutdown(cancel_futures=True)
