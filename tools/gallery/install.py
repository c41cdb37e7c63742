"""How to install what a downloaded page imports."""

import ast

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's builds for processors, without gigabytes of CUDA."""

EXTRAS = {"transformers": "export", "onnxruntime": "onnx", "onnx": "onnx"}
"""The extra that brings a package; the first that a page imports decides."""

DEFAULT_EXTRA = "quantization"


def extra_of(code: str) -> str:
    """Name the extra of smallport that a page needs.

    Examples
    --------
    >>> extra_of("import onnxruntime as ort"), extra_of("import torch")
    ('onnx', 'quantization')
    """
    nodes = list(ast.walk(ast.parse(code)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    imported = {name.partition(".")[0] for name in names}
    return next((EXTRAS[name] for name in EXTRAS if name in imported), DEFAULT_EXTRA)


def arguments(code: str, wheel: str) -> str:
    """Write the arguments with which pip installs what a page imports.

    Parameters
    ----------
    code
        The page.
    wheel
        The address of smallport's wheel.

    Examples
    --------
    >>> print(arguments("import torch", "https://example.org/smallport.whl"))
    --extra-index-url https://download.pytorch.org/whl/cpu "smallport[quantization] @ https://example.org/smallport.whl"
    """
    return f'--extra-index-url {CPU_INDEX} "smallport[{extra_of(code)}] @ {wheel}"'
