"""Print how the pages of the last build ran, in JSON: ``python -m tools.nightly.pages``.

It runs in the environment of the pages, whose packages the records and the versions need.
"""

import json
import sys

from tools.gallery import project, runs, versions


def main() -> int:
    """Print the failure and the line of each page, and the versions that are not the pinned."""
    pages = {}
    for script in project.in_reading_order():
        run = runs.read(script)
        error = "did not run: there is no record that can be believed"
        if run:
            error = "" if run.passed else run.failure.removeprefix("failed: ")
        pages[project.name_of(script)] = [error, run.line if run else None]
    pinned = versions.pinned()
    differing = {
        name: [pinned[name], version]
        for name, version in versions.installed().items()
        if version.partition("+")[0] != pinned[name]
    }
    json.dump({"pages": pages, "versions": differing}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
