"""All routes from a float model to a smaller or faster one, behind one interface.

A new route is a function that takes a model and a folder and gives a :class:`Prepared` one, and an
entry in :data:`ROUTES`.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smallport.lstm import WordLanguageModel
from smallport.quantize.routes.prepared import LAYERS, Prepared, prepared_module, stored_types

__all__ = [
    "LAYERS",
    "ROUTES",
    "Prepared",
    "Route",
    "prepared_module",
    "route_named",
    "stored_types",
]

Prepare = Callable[[WordLanguageModel, Path], Prepared]

COMPILERS = ("c++", "g++", "clang++", "cl")
"""The compilers that ``torch.compile`` looks for, to compile the C++ that it writes."""


@dataclass(frozen=True)
class Route:
    """A way to make a word language model smaller or faster.

    Parameters
    ----------
    name
        Its name in tables.
    prepare
        Makes the model from the one in floats, for one thread. The files that it needs are written
        into a folder.
    packages
        The packages to install in addition to PyTorch, by the names that are imported.
    compiler
        Whether it needs a C++ compiler.
    maintenance
        Whether it has a future, in a few words.
    """

    name: str
    prepare: Prepare
    packages: tuple[str, ...] = ()
    compiler: bool = False
    maintenance: str = ""

    def missing(self) -> str:
        """Say what this machine lacks for the route; empty where it lacks nothing.

        Examples
        --------
        >>> Route("imaginary", prepare=print, packages=("no_such_package",)).missing()
        'not installed: no_such_package'
        """
        absent = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if absent:
            return f"not installed: {', '.join(absent)}"
        if self.compiler and not any(shutil.which(name) for name in COMPILERS):
            return "no C++ compiler"
        return ""


def imported(module: str, function: str) -> Prepare:
    """Refer to a function whose module is imported when it is called, for its packages' sake."""

    def prepare(model: WordLanguageModel, folder: Path) -> Prepared:
        routes = importlib.import_module(f"smallport.quantize.routes.{module}")
        prepared: Prepared = getattr(routes, function)(model, folder)
        return prepared

    return prepare


ONNX = ("onnx", "onnxruntime", "onnxscript")
OPENVINO = (*ONNX, "openvino", "nncf")
EAGER = "announced to be removed from PyTorch"
MAINTAINED = "maintained"

ROUTES = (
    Route("eager float32", imported("modules", "float32"), maintenance=MAINTAINED),
    Route("eager int8", imported("modules", "int8"), maintenance=EAGER),
    Route(
        "eager int8, embedding too", imported("modules", "int8_with_embedding"), maintenance=EAGER
    ),
    Route("ONNX float32", imported("onnx_files", "float32"), ONNX, maintenance=MAINTAINED),
    Route("ONNX int8", imported("onnx_files", "int8"), ONNX, maintenance=MAINTAINED),
    Route(
        "ONNX int8, loss inside",
        imported("onnx_files", "int8_loss_inside"),
        ONNX,
        maintenance=MAINTAINED,
    ),
    Route(
        "ONNX int8 per tensor",
        imported("onnx_files", "int8_per_tensor"),
        ONNX,
        maintenance=MAINTAINED,
    ),
    Route(
        "ONNX 4-bit embedding",
        imported("onnx_files", "embedding_4bit"),
        ONNX,
        maintenance=MAINTAINED,
    ),
    Route("ONNX 4-bit", imported("onnx_files", "all_4bit"), ONNX, maintenance=MAINTAINED),
    Route("ONNX 2 to 4 bits", imported("onnx_files", "by_frequency"), ONNX, maintenance=MAINTAINED),
    Route("torch.compile", imported("modules", "compiled"), compiler=True, maintenance=MAINTAINED),
    Route(
        "torchao int8",
        imported("modules", "torchao_int8"),
        ("torchao",),
        maintenance="maintained; leaves an LSTM in floats",
    ),
    Route(
        "torchao int8, compiled",
        imported("modules", "torchao_compiled"),
        ("torchao",),
        compiler=True,
        maintenance="maintained; leaves an LSTM in floats",
    ),
    Route("OpenVINO float32", imported("openvino", "float32"), OPENVINO, maintenance=MAINTAINED),
    Route(
        "OpenVINO 8-bit",
        imported("openvino", "int8"),
        OPENVINO,
        maintenance="maintained; leaves an LSTM in floats",
    ),
    Route(
        "OpenVINO 4-bit",
        imported("openvino", "int4"),
        OPENVINO,
        maintenance="maintained; leaves an LSTM in floats",
    ),
)
"""Every route, the model as it is first."""


def route_named(name: str) -> Route:
    """Look a route up.

    Raises
    ------
    KeyError
        When no route has the name.
    """
    for route in ROUTES:
        if route.name == name:
            return route
    known = ", ".join(route.name for route in ROUTES)
    raise KeyError(f"no route is called {name!r}; there are: {known}")
