"""The routes from a float model to a smaller one, a module for each."""

from smallport.quantize.eager import dynamic_int8, ensure_engine, known_warnings_ignored

__all__ = ["dynamic_int8", "ensure_engine", "known_warnings_ignored"]
