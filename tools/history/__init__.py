"""The numbers that pages measured in builds of CI, run by run: ``docs/history.jsonl``."""
