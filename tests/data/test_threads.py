import threading
import tracemalloc

import pytest

from convatlas.data.threads import AT_ONCE, in_order


def test_results_come_in_order_over_the_ends_of_parts() -> None:
    count = 2 * AT_ONCE + 3
    assert list(in_order(lambda index: 2 * index, count, 3)) == list(range(0, 2 * count, 2))
    assert list(in_order(lambda index: index, 0, 3)) == []


def test_work_is_done_in_so_many_threads() -> None:
    both = threading.Barrier(2, timeout=30)  # one thread alone would wait in vain
    assert list(in_order(lambda index: both.wait() >= 0, 2, 2)) == [True, True]


def test_what_work_raises_ends_it() -> None:
    begun: list[int] = []

    def work(index: int) -> int:
        begun.append(index)
        return 1 // (5 - index)

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, 100 * AT_ONCE, 1))
    assert len(begun) <= AT_ONCE


def test_what_waits_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        for _ in in_order(lambda index: None, 20 * AT_ONCE, 1):
            pass
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * AT_ONCE * 1000  # a thing to do takes 2 kB or so, and there are twenty times as many
