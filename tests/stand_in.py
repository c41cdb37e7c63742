"""Stand in for a process that checks an architecture: ``stand_in.py TEMPLATE NAME FILE --until S``.

What it does is in the name of the architecture. TEMPLATE is a report of which every stage passed;
beside it, ``ran.txt`` lists the architectures of which a process was started.
"""

import ctypes
import functools
import json
import os
import signal
import sys
import time
from pathlib import Path

from smallport.sweep.limits import exit_when_parent_dies


def main(template, name, file, until):  # noqa: C901, PLR0912, PLR0915 - a case for each name
    """Do what the name says."""
    ran = template.with_name("ran.txt")
    with ran.open("a", encoding="utf-8") as stream:
        stream.write(f"{name}\n")
    report = functools.partial(write_report, template, name, file)
    match name.partition(":")[0].partition("-")[0]:
        case "good":
            report(until)
        case "slow":
            time.sleep(float(name.rpartition("-")[2]))
            report(until)
        case "meets":
            others = int(name.split("-")[1])
            while len(ran.read_text().split()) < others:
                time.sleep(0.05)
            report(until)
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
            eat()
        case "exits":
            report(None)
            sys.exit(3)
        case "unbegun":
            sys.stderr.write("ImportError: no torch\n")
            sys.exit(1)
        case "dawdles":
            hang()
        case "full":
            report("decodes", failed="ONNX", error="OSError: [Errno 28] No space left on device")
        case "unwritten":
            report("decodes")
            sys.exit(os.EX_CANTCREAT)
        case "exhausted":
            report("decodes", failed="ONNX", error="MemoryError")
        case "killed":
            report("decodes")
            os.kill(os.getpid(), signal.SIGKILL)
        case "silent":
            report("built")
        case "late":
            report(until)
            os.abort()
        case "skips":
            report("matches", failed=None)


def write_report(template, name, file, last, failed=None, *, error=""):
    """Write a report of which the stages up to one passed, and at most one failed."""
    data = json.loads(template.read_text(encoding="utf-8")) | {"name": name}
    names = [stage["stage"] for stage in data["stages"]]
    passed = names[: names.index(last) + 1] if last else []
    for stage in data["stages"]:
        if stage["stage"] == failed:
            stage |= {"status": "failed", "error": error or f"ValueError: {name} cannot do that"}
        elif stage["stage"] not in passed:
            stage |= {"status": "not reached"}
    partial = Path(f"{file}.part")
    partial.write_text(json.dumps(data), encoding="utf-8")
    partial.replace(file)


def eat():
    """Take two gigabytes."""
    return [bytearray(os.urandom(1_000_000)) for _ in range(2000)]


def hang():
    """Wait for nothing."""
    while True:
        time.sleep(60)


if __name__ == "__main__":
    exit_when_parent_dies()
    _, template, name, file, _, until = sys.argv
    main(Path(template), name, file, until)
