"""Tiny untrained models of the architectures that transformers registers."""
