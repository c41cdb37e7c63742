"""Append the numbers of the last build to the history: ``python -m tools.history append``.

CI does this after a build that passed, and commits ``docs/history.jsonl``. Nobody edits that file.
"""

import argparse
import sys

from smallport.quantities import counted
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
    numbers = counted(sum(map(len, entry.numbers.values())), "number")
    print(f"{lines.FILE.name}: appended {numbers} of commit {entry.environment.commit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
