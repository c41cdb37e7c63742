"""Stand in for a process that checks an architecture: ``stand_in.py TEMPLATE NAME FILE --until S``.

What it does is in the name of the architecture. TEMPLATE is a report of which every stage passed;
beside it, ``ran.txt`` lists the architectures of which a process was started.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

from smallport.sweep.limits import end_with_parent

_, TEMPLATE, NAME, FILE, _, UNTIL = sys.argv


def report(last, failed=None):
    """Write a report of which the stages up to one passed, and at most one failed."""
    data = json.loads(Path(TEMPLATE).read_text(encoding="utf-8")) | {"name": NAME}
    names = [stage["stage"] for stage in data["stages"]]
    passed = names[: names.index(last) + 1] if last else []
    for stage in data["stages"]:
        if stage["stage"] == failed:
            stage |= {"status": "failed", "error": f"ValueError: {NAME} cannot do that"}
        elif stage["stage"] not in passed:
            stage |= {"status": "not reached"}
    partial = Path(f"{FILE}.part")
    partial.write_text(json.dumps(data), encoding="utf-8")
    partial.replace(FILE)


def hang():
    """Wait for nothing."""
    while True:
        time.sleep(60)


end_with_parent()
with Path(TEMPLATE).with_name("ran.txt").open("a", encoding="utf-8") as stream:
    stream.write(f"{NAME}\n")
match NAME.partition("-")[0]:
    case "good":
        report(UNTIL)
    case "slow":
        time.sleep(float(NAME.rpartition("-")[2]))
        report(UNTIL)
    case "meets":
        others = int(NAME.split("-")[1])
        while len(Path(TEMPLATE).with_name("ran.txt").read_text().split()) < others:
            time.sleep(0.05)
        report(UNTIL)
    case "bad":
        report("ran", failed="exported")
    case "hangs":
        report("built")
        hang()
    case "segfaults":
        report("ran")
        ctypes.string_at(0)
    case "eats":
        report("exported")
        eaten = [bytearray(os.urandom(1_000_000)) for _ in range(2000)]
    case "exits":
        sys.exit(3)
    case "silent":
        report("built")
    case "late":
        report(UNTIL)
        os.abort()
    case "skips":
        report("matches", failed=None)
