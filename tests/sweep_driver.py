"""Run a sweep whose processes are stand-ins: ``sweep_driver.py FOLDER JOBS|ADDRESS NAME...``."""

import signal
import sys
from pathlib import Path

from smallport.sweep.executors import cluster, local
from smallport.sweep.runner import locked, sweep, to_run
from smallport.sweep.verdicts import Verdicts
from tests.sweep_helpers import stand_in

if __name__ == "__main__":
    # A shell that runs the tests in the background has interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder, place, *names = Path(sys.argv[1]), *sys.argv[2:]
    verdicts = Verdicts(folder / "results")
    executors = local(int(place)) if place.isdigit() else cluster(place)
    with locked(verdicts), executors as executor:
        chosen = to_run(names, verdicts, "ran")
        for verdict in sweep(chosen, verdicts, executor, until="ran", child=stand_in(folder)):
            sys.stdout.write(f"{verdict.model_type}\n")
            sys.stdout.flush()
