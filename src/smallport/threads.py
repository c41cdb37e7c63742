"""Run PyTorch on one thread, and verify that it does."""

import re
import time

import torch

LIBRARY_THREADS = re.compile(r"(get_num_threads|\w+_max_threads)\(\) : (\d+)")
"""The number of threads of each library, as ``torch.__config__.parallel_info`` writes it."""

MOST_PROCESSOR_TIME = 1.1
"""The processor time that one thread may use, relative to the time that passed."""


def use_one_thread() -> None:
    """Set PyTorch to one thread, and ask its libraries and the clock whether it uses more.

    With several threads, a timing also measures how well the work is shared among them.

    Raises
    ------
    RuntimeError
        When a library reports more than one thread; when a matrix product takes more processor
        time than its own thread does; or when this thread takes more than time passes, which no
        thread can, so that a clock is wrong.

    Examples
    --------
    >>> use_one_thread()
    >>> torch.get_num_threads()
    1
    """
    torch.set_num_threads(1)
    reported = dict(LIBRARY_THREADS.findall(torch.__config__.parallel_info()))
    if set(reported.values()) != {"1"}:
        raise RuntimeError(f"PyTorch uses more than one thread: {reported}")
    matrix = torch.ones(1024, 1024)
    clocks = (time.perf_counter, time.thread_time, time.process_time)
    before = [clock() for clock in clocks]
    for _ in range(10):
        matrix @ matrix
    passed, own, used = (clock() - start for clock, start in zip(clocks, before, strict=True))
    if own > MOST_PROCESSOR_TIME * passed:
        raise RuntimeError(
            f"one thread took {own:.3f} s of processor time in {passed:.3f} s: a clock of this "
            "machine is wrong, and no time measured with it means anything"
        )
    if used > MOST_PROCESSOR_TIME * own:
        raise RuntimeError(
            f"PyTorch uses more than one thread: {used:.3f} s of processor time, of which one "
            f"thread took {own:.3f} s"
        )
