"""A comparison that takes differences for zero that are as small as those of rounding."""

import sys

from smallport.parity import Discrepancy


def apply():
    compare = sys.modules["smallport.parity.compare"]
    exact = compare.discrepancy

    def rounded(*arguments):
        found = exact(*arguments)
        by_tensor = {name: round(number, 5) for name, number in found.by_tensor.items()}
        return Discrepancy(by_tensor, found.shares, found.places)

    compare.discrepancy = rounded
