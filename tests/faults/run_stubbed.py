"""Run a page on changed packages: ``python run_stubbed.py STUB PAGE``, otherwise as run_page.py.

A stub is a module in ``stubs/``. Its ``apply`` changes the packages that the page imports, in this
process, so that they are what another release of them might be.
"""

import importlib
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path.insert(0, str(HERE / "stubs"))
    importlib.import_module(sys.argv.pop(1)).apply()
    runpy.run_path(str(HERE.parent / "run_page.py"), run_name="__main__")
