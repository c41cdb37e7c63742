"""Try the built site in a real browser, for ``nox -s site``."""
