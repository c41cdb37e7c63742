"""A clock that jumps ahead by a second, from time to time."""

import itertools
import time


def apply():
    right, calls = time.perf_counter, itertools.count()
    time.perf_counter = lambda: right() + next(calls) // 5
