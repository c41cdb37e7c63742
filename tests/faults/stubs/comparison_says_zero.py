"""A comparison that finds no difference anywhere."""

import sys

from smallport.export import Discrepancy


def apply():
    compare = sys.modules["smallport.export.compare"]
    compare.discrepancy = lambda expected, _: Discrepancy(dict.fromkeys(expected, 0.0))
