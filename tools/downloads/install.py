"""Install the imports of a page that was downloaded, in any folder.

Where the site's address is known, scripts and notebooks name the wheel there. Where it is not, they
name the wheel in the folder that they lie in, and whoever takes them away has to take it along.
"""

import ast
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tools.gallery import project

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's builds for processors, without gigabytes of CUDA."""

EXTRAS = {"transformers": "export", "onnxruntime": "onnx", "onnx": "onnx"}
"""The extra that brings a package; the first that a page needs decides."""

DEFAULT_EXTRA = "quantization"

ABOUT = {"torch", "transformers", "onnx", "onnxruntime", "onnxscript", "onnx-diagnostic"}
"""The packages that the pages are about: downloads ask for versions that all pages passed with."""

NEWER = "These versions were tested. To try newer ones, "


@dataclass(frozen=True)
class Wheel:
    """Smallport's wheel, as the site offers it.

    Parameters
    ----------
    version
        Of the package.
    site
        The address of the site, with a slash at its end; empty where nobody knows it.

    Examples
    --------
    >>> Wheel("1.0").name
    'smallport-1.0-py3-none-any.whl'
    >>> Wheel("1.0.dev2+g12ab", "https://example.org/").address
    'https://example.org/smallport-1.0.dev2%2Bg12ab-py3-none-any.whl'
    """

    version: str
    site: str = ""

    @property
    def name(self) -> str:
        """The name of the file, at the root of the site."""
        return f"smallport-{self.version}-py3-none-any.whl"

    @property
    def link(self) -> str:
        """The name of the file in addresses: some servers read a plus as a space."""
        return quote(self.name)

    @property
    def address(self) -> str:
        """The address of the file on the site."""
        return f"{self.site}{self.link}"


def extra_of(code: str) -> str:
    """Name the extra of smallport that a page needs.

    Examples
    --------
    >>> extra_of("import onnxruntime as ort"), extra_of("import torch")
    ('onnx', 'quantization')
    """
    needed = imported(code)
    return next((EXTRAS[name] for name in EXTRAS if name in needed), DEFAULT_EXTRA)


def imported(code: str) -> set[str]:
    """Name the packages that a page imports, itself or through smallport.

    Examples
    --------
    >>> imported("from smallport.quantize import onnx") >= {"smallport", "onnx", "torch"}
    True
    """
    waiting, found = modules_in(ast.walk(ast.parse(code))), set[str]()
    while new := waiting - found:
        found |= new
        waiting = set()
        for module in new:
            base = project.ROOT / "src" / module.replace(".", "/")
            for file in (base.with_suffix(".py"), base / "__init__.py"):
                if module.startswith("smallport") and file.exists():
                    waiting |= modules_in(ast.parse(file.read_text(encoding="utf-8")).body)
    return {name.partition(".")[0] for name in found}


def modules_in(nodes: Iterable[ast.AST]) -> set[str]:
    """Name the modules that some nodes import, those around them, and what may be a module.

    Examples
    --------
    >>> sorted(modules_in(ast.parse("from smallport.quantize import onnx").body))
    ['smallport', 'smallport.quantize', 'smallport.quantize.onnx']
    """
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.rsplit(".", count)[0] for name in names for count in range(name.count(".") + 1)}


def tested(extra: str) -> list[str]:
    """List the packages that the pages of an extra are about, with the versions that were tested.

    Examples
    --------
    >>> [requirement.partition(">=")[0] for requirement in tested("onnx")]
    ['onnx', 'onnxruntime', 'onnxscript', 'torch']
    """
    about = described()
    required = [*about["dependencies"], *about["optional-dependencies"][extra]]
    return sorted(one for one in required if name_of(one) in ABOUT)


def name_of(requirement: str) -> str:
    """Read the name of a package from a requirement.

    Examples
    --------
    >>> name_of("onnx-diagnostic>=0.9.3,<=0.9.3")
    'onnx-diagnostic'
    """
    return re.split(r"[^\w-]", requirement)[0]


def script_metadata(code: str, wheel: Wheel) -> str:
    """Write the comment that tells uv and pipx what a script needs (PEP 723).

    A path of a file cannot be named in the standard part of it: where the site has no address, the
    wheel is named for uv alone.

    Parameters
    ----------
    code
        The script.
    wheel
        Smallport's wheel.
    """
    extra = extra_of(code)
    if wheel.site:
        smallport = f"smallport[{extra}] @ {wheel.address}"
        for_uv = [
            "[[tool.uv.index]] # builds of PyTorch without gigabytes of CUDA",
            'name = "pytorch-cpu"',
            f'url = "{CPU_INDEX}"',
            "explicit = true",
            "",
            "[tool.uv.sources]",
            """torch = { index = "pytorch-cpu", marker = "sys_platform == 'linux'" }""",
        ]
    else:
        smallport = f"smallport[{extra}]=={wheel.version}"
        for_uv = [
            "[tool.uv.sources] # the site offers this file: put it next to the script",
            f'smallport = {{ path = "{wheel.name}" }}',
        ]
    lines = [
        f'requires-python = "{described()["requires-python"]}"',
        "dependencies = [",
        *(f'    "{requirement}",' for requirement in (smallport, *tested(extra))),
        "]",
        "",
        f"# {NEWER}remove the inner # of the next two lines.",
        "# [tool.uv]",
        f"# override-dependencies = {json.dumps([name_of(one) for one in tested(extra)])}",
        "",
        *for_uv,
    ]
    body = "\n".join(f"# {line}".rstrip() for line in lines)
    return f"# /// script\n{body}\n# ///\n"


def arguments(code: str, wheel: Wheel) -> str:
    """Write the arguments with which pip installs what a page imports.

    Parameters
    ----------
    code
        The page.
    wheel
        Smallport's wheel.

    Examples
    --------
    >>> print(arguments("import torch", Wheel("1.0")))  # doctest: +ELLIPSIS
    "./smallport-1.0-py3-none-any.whl[quantization]" "torch>=..."
    """
    extra = extra_of(code)
    return " ".join([*from_where(wheel, extra), *(f'"{one}"' for one in tested(extra))])


def from_where(wheel: Wheel, extras: str) -> list[str]:
    """Name the wheel for pip: at the site's address, or in the current folder."""
    if wheel.site:
        smallport = f'"smallport[{extras}] @ {wheel.address}"'
        return ["--extra-index-url", CPU_INDEX, smallport]
    return [f'"./{wheel.name}[{extras}]"']


def notebook_cell(code: str, wheel: Wheel) -> str:
    """Write the cell with which a notebook begins, which installs what the others import."""
    sentence = (
        "# Run this cell first: it installs what the others import."
        if wheel.site
        else f"# First put {wheel.name}, which the site\n"
        "# offers, into this notebook's folder: this cell installs it, and what it needs."
    )
    names = " ".join(name_of(one) for one in tested(extra_of(code)))
    newer = f"# {NEWER}run this afterwards:\n# %pip install -q --upgrade {names}"
    return f"{sentence}\n{newer}\n%pip install -q {arguments(code, wheel)}"


def described() -> dict[str, Any]:
    """Read what pyproject.toml says of the package."""
    text = (project.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    about: dict[str, Any] = tomllib.loads(text)["project"]
    return about
