"""Append the numbers of the last build to the history: ``python -m tools.history append``.

CI does this after a build that passed, and commits ``docs/history.jsonl``. Nobody edits that file.
"""

import argparse
import sys

from tools.history import lines, store


def main(arguments: list[str]) -> int:
    """Append, and say what; fail where the numbers cannot be appended."""
    parser = argparse.ArgumentParser(
        "python -m tools.history", description=__doc__.partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("action", choices=["append"])
    parser.parse_args(arguments)
    try:
        entry = store.append()
    except store.HistoryError as error:
        print(error, file=sys.stderr)
        return 1
    count = sum(map(len, entry.numbers.values()))
    print(f"{lines.FILE.name}: appended {count} numbers of commit {entry.environment.commit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
