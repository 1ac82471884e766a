"""What can be computed at the same time by threads of this process."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Result = TypeVar("Result")

_pool = ThreadPoolExecutor(thread_name_prefix="side-by-side")


def run_side_by_side(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of the tasks, in their order: this thread runs the first, a thread of its own each of the others.

    Each computes with as many of PyTorch's threads as this one has. All have ended when this returns or raises.
    """
    num_threads = torch.get_num_threads()
    futures: list[Future[Result]] = [_pool.submit(_run, task, num_threads) for task in tasks[1:]]
    try:
        first = tasks[0]()
    finally:
        wait(futures)
    return [first, *(future.result() for future in futures)]


def _run(task: Callable[[], Result], num_threads: int) -> Result:
    if torch.get_num_threads() != num_threads:  # PyTorch counts them for each of Python's threads
        torch.set_num_threads(num_threads)
    return task()
