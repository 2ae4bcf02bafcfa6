"""Independent fits side by side, each on one CPU thread.

On several threads PyTorch and BLAS add numbers up in another order, and round otherwise: what is
learned would depend on how many cores a machine has. Here what shares nothing fills the cores.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from casestudies.errors import InputError
from casestudies.steps import giving_up

T, R = TypeVar("T"), TypeVar("R")


def one_thread() -> None:
    """Use one CPU thread inside every operation of BLAS and PyTorch from here on.

    For PyTorch this holds for the calling thread only.
    """
    threadpool_limits(1)
    if torch := sys.modules.get("torch"):  # a step without networks does not wait for it
        torch.set_num_threads(1)


def side_by_side(task: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield ``task(item)`` of each item, in order; no result depends on ``threads``.

    If one fails, or on an interrupt, the others end at the next round of their progress.

    Parameters
    ----------
    threads
        Tasks at a time; 1 on a GPU.

    Raises
    ------
    InputError
        If ``threads`` is below 1.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}; give at least 1.")
    one_thread()
    if threads == 1:
        yield from map(task, items)
        return
    stop = threading.Event()

    def run(item: T) -> R:
        one_thread()
        with giving_up(stop):
            return task(item)

    with ThreadPoolExecutor(threads) as pool:
        futures = deque(pool.submit(run, item) for item in items)
        try:
            while futures:
                yield futures.popleft().result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
