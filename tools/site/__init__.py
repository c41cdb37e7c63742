"""Try the built site in a real browser: what ``nox -s site`` stands on."""
