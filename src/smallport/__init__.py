"""Executed tutorials that make small PyTorch language models smaller and portable.

The package has the code that the pages of the site share: corpora and models, their sources, and
functions that measure and check them. The code that a page teaches is in the page.
"""

import importlib
import os
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smallport.export.check import check_export

__all__ = ["AssetError", "__version__", "check_export"]

__version__ = "0.1.0"

# ONNX Runtime reports its use to its maker, and the Hugging Face libraries add to each request what
# else is installed, unless these are set before they are imported: pages import smallport first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# tqdm.auto, which pooch and transformers import, warns in a notebook that has no ipywidgets.
if "ipykernel" in sys.modules:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import tqdm.auto  # noqa: F401 - imported here, it does not warn later


class AssetError(RuntimeError):
    """A corpus, weights or a checkpoint is missing or unusable; the message says what to do."""


def __getattr__(name: str) -> object:
    """Import the check when it is first used: PyTorch and transformers take seconds."""
    if name == "check_export":
        return importlib.import_module("smallport.export.check").check_export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
