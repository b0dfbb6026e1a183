"""Work on a stream of items by several threads, results in order, a bounded number of items ahead.

Threads are enough: Pillow's decoders and the engines let go of the interpreter while they compute.
"""

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

AHEAD = 2  # items a worker: one in work, one that waits, so that nobody waits for the slowest

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    items: Iterable[Item], work: Callable[[Item, threading.Event], Result], *, workers: int
) -> Generator[Result]:
    """work(item, stopped) of each item, in their order. `items` is read in the caller's thread.

    workers: 1, or one item alone, works in the caller's thread, item by item. More are that many threads; at most
    AHEAD * workers items have been read whose results have not been given.
    stopped: is set once no result is wanted any more, so that long work can end early: an exception of an item's work,
    which is raised in the item's place, Ctrl-C, or the iterator's being closed.
    An exception of `items` is raised behind the results of the items that came before it.
    """
    stopped = threading.Event()
    failed: list[Exception] = []
    reading = _until_failure(items, failed)
    first = list(itertools.islice(reading, 2)) if workers > 1 else []
    read = itertools.chain(first, reading)
    if len(first) < 2:
        for item in read:
            yield work(item, stopped)
    else:
        yield from _by_threads(read, work, workers, stopped)
    if failed:
        raise failed[0]


def _until_failure(items: Iterable[Item], failed: list[Exception]) -> Generator[Item]:
    """The items; what ends them untimely is put into `failed`."""
    try:
        yield from items
    except Exception as error:
        failed.append(error)


def _by_threads(
    items: Iterable[Item], work: Callable[[Item, threading.Event], Result], workers: int, stopped: threading.Event
) -> Generator[Result]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one picture alone needs none

    pool = ThreadPoolExecutor(workers, thread_name_prefix="convatlas")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item, stopped))
            while waiting and (len(waiting) >= AHEAD * workers or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)  # waits for what is in work: engines do not bear to be left at exit


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone tells
        return os.cpu_count() or 1
