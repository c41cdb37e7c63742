"""Measure routes to a smaller model: their parts, their grid, and the limits of the machine."""
