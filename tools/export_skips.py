"""Read from the tests of transformers which architectures they export, and which they skip.

``python -m tools.export_skips COMMIT`` downloads the test modules of a commit and writes
``src/smallport/measured/export_skips.json``; ``COMMIT=FOLDER`` reads them from a folder, such as a
checkout. Of several commits, the first that has a file counts. The modules are parsed, and never
run. Classes are assigned to architectures by the installed transformers.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smallport import measured
from smallport.quantities import counted
from tools.gallery import project

RAW = "https://raw.githubusercontent.com/huggingface/transformers"
PAGES = "https://github.com/huggingface/transformers/blob"
EXPORT_TESTS = "tests/exporters/test_export.py"
OUTPUT = project.ROOT / "src" / "smallport" / "measured" / "export_skips.json"

COMPARABLE = {"all", "generate", "dynamic", "dynamo", "onnx", "exactness"}
"""The parts of those scopes that the sweep checks, too: exports with dynamic
shapes by torch.export and to ONNX. The others are about other programs, static shapes, or the loop
of ``generate`` around the exported program."""

EAGER_EXPERTS = ("for expert", "use_experts_implementation")
"""A model is skipped if the first is in its source and the second is not."""

LONGEST_REASON = 60
MIXINS = {"ModelTesterMixin", "CausalLMModelTest"}
"""The bases by which a class takes part in the export tests; the second derives its classes."""


@dataclass(frozen=True)
class Sources:
    """The places of test modules: each a commit, and a folder or an address.

    Parameters
    ----------
    places
        The commits with their places, the preferred ones first.
    """

    places: Sequence[tuple[str, str]]

    def read(self, path: str) -> tuple[str, str]:
        """Read a file, and say of which commit; two empty texts where no place has it."""
        for commit, place in self.places:
            text = download(f"{place}/{path}") if "://" in place else _read(Path(place, path))
            if text:
                return text, commit
        return "", ""


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def download(address: str) -> str:
    """Download a text; an empty one where there is none."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - https, from RAW
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        if error.code == 404:  # noqa: PLR2004 - not found
            return ""
        raise


def shorten(reason: str) -> str:
    """Shorten a reason to the few words that are cited."""
    return textwrap.shorten(reason, LONGEST_REASON, placeholder=" …")


def export_skips(tree: ast.Module) -> dict[str, list[tuple[str, str]]]:
    """List the comparable scopes in which each class is skipped, with the reasons.

    Raises
    ------
    ValueError
        When the module has no ``EXPORT_SKIPS`` with scopes of classes.
    """
    assigned = {
        _name(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign | ast.Assign)
    }
    value = assigned.get("EXPORT_SKIPS")
    if value is None:
        raise ValueError(f"{EXPORT_TESTS} has no EXPORT_SKIPS; read how it skips now")
    scopes = ast.literal_eval(value)
    if not isinstance(scopes, dict) or not all(isinstance(one, dict) for one in scopes.values()):
        raise ValueError("EXPORT_SKIPS does not hold classes by scope; read how it skips now")
    found: dict[str, list[tuple[str, str]]] = {}
    for scope, classes in scopes.items():
        if set(scope.split(".")) <= COMPARABLE:
            for name, reason in classes.items():
                found.setdefault(name, []).append((scope, shorten(reason)))
    return found


def ignored_share(tree: ast.Module) -> float:
    """Find the share of the elements that may differ, such as ``mismatched / total < 0.05``.

    Raises
    ------
    ValueError
        When the comparison has no such limit.
    """
    for node in ast.walk(_function(tree, "_check_outputs_close")):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.BinOp):
            limit = node.comparators[0]
            if isinstance(limit, ast.Constant) and isinstance(limit.value, float):
                return limit.value
    raise ValueError("_check_outputs_close has no share of elements; read how it compares now")


def skips_eager_experts(tree: ast.Module) -> bool:
    """Say whether the tests skip models by ``EAGER_EXPERTS``."""
    nodes = ast.walk(_function(tree, "_skip_if_not_exportable"))
    return set(EAGER_EXPERTS) <= {one.value for one in nodes if isinstance(one, ast.Constant)}


def _function(tree: ast.Module, name: str) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise ValueError(f"{EXPORT_TESTS} has no {name}; read how it tests now")


def class_skips(tree: ast.Module, name: str) -> Iterator[list[tuple[str, str]]]:
    """Find the test classes that export a model class, and why they skip it.

    Yields
    ------
    list of tuple
        For each test class, where it skips and the reason; empty where it does not skip.
    """
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        bases = {ast.unparse(base) for base in node.bases}
        if bases & MIXINS and name in _model_classes(node, classes, bases):
            yield list(_skips(node))


def _model_classes(
    node: ast.ClassDef, classes: dict[str, ast.ClassDef], bases: set[str]
) -> set[str]:
    """Name the model classes of a test class."""
    if listed := _assigned(node, "all_model_classes"):
        return {one.id for one in ast.walk(listed) if isinstance(one, ast.Name)}
    tester = classes.get(_name(_assigned(node, "model_tester_class")))
    if "CausalLMModelTest" not in bases or tester is None:
        return set()
    base = _name(_assigned(tester, "base_model_class")).removesuffix("Model")
    return {_name(_assigned(tester, "causal_lm_class")) or f"{base}ForCausalLM"}


def _skips(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    exportable = _assigned(node, "test_torch_exportable")
    if isinstance(exportable, ast.Constant) and exportable.value is False:
        yield "test class", "test_torch_exportable = False"
    for method in node.body:
        if not isinstance(method, ast.FunctionDef):
            continue
        if method.name.startswith(("test_torch_export", "test_onnx_export")):
            for one in method.decorator_list:
                if isinstance(one, ast.Call) and ast.unparse(one.func) == "unittest.skip":
                    given = [*one.args, *(keyword.value for keyword in one.keywords)]
                    reasons = [str(word.value) for word in given if isinstance(word, ast.Constant)]
                    yield method.name, shorten(" ".join(reasons))


def _assigned(node: ast.ClassDef, name: str) -> ast.expr | None:
    """Find what a class assigns to a name, also under a condition; None where nothing."""
    for one in ast.walk(node):
        if isinstance(one, ast.Assign) and _name(one.targets[0]) == name:
            return one.value
    return None


def _name(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def derive(sources: Sources, models: Iterable[tuple[str, type]]) -> dict[str, Any]:
    """Derive what the tests do with some architectures.

    Parameters
    ----------
    sources
        The test modules.
    models
        Each architecture with its class.

    Returns
    -------
    dict
        The facts to store. An architecture is left out where nothing skips it and no test module
        was found that has its class.

    Raises
    ------
    ValueError
        When the modules are of a form that this does not read.
    """
    text, commit = sources.read(EXPORT_TESTS)
    if not text:
        places = ", ".join(place for _, place in sources.places)
        raise ValueError(f"{places}: no {EXPORT_TESTS}; name a commit or folder that has it")
    tree = ast.parse(text)
    by_class, by_experts = export_skips(tree), skips_eager_experts(tree)
    architectures = {}
    for model_type, model in models:
        skips = list(by_class.get(model.__name__, []))
        if by_experts and _has_eager_experts(model):
            skips.append(("modeling file", "uses eager MoE implementation"))
        module = model.__module__.rpartition("modeling_")[2]
        path = f"tests/models/{module}/test_modeling_{module}.py"
        tests, tests_commit = sources.read(path)
        found = list(class_skips(ast.parse(tests), model.__name__))
        if found and all(found):
            skips += found[0]
        entry: dict[str, Any] = {"class": model.__name__} | ({"skips": skips} if skips else {})
        if found:
            entry["tests"] = f"{PAGES}/{tests_commit}/{path}"
        if skips or found:
            architectures[model_type] = entry
    return {
        "commit": commit,
        "address": f"{PAGES}/{commit}/{EXPORT_TESTS}",
        "ignored": ignored_share(tree),
        "architectures": architectures,
    }


def _has_eager_experts(model: type) -> bool:
    source = Path(inspect.getfile(model)).read_text(encoding="utf-8")
    return EAGER_EXPERTS[0] in source and EAGER_EXPERTS[1] not in source


def registered_models() -> Iterator[tuple[str, type]]:
    """List every architecture of the sweep with its class."""
    import transformers  # noqa: PLC0415 - takes seconds
    from transformers.models.auto.modeling_auto import (  # noqa: PLC0415
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    )

    from smallport.architectures.tiny import architectures  # noqa: PLC0415

    for model_type in architectures():
        names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]
        yield model_type, getattr(transformers, names if isinstance(names, str) else names[0])


def main(
    arguments: Sequence[str] | None = None,
    models: Callable[[], Iterable[tuple[str, type]]] = registered_models,
) -> int:
    """Write the file, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.export_skips", description=__doc__)
    parser.add_argument("commit", nargs="+", metavar="COMMIT[=FOLDER]")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write")
    given = parser.parse_args(arguments)
    places = [one.partition("=") for one in given.commit]
    sources = Sources([(commit, folder or f"{RAW}/{commit}") for commit, _, folder in places])
    try:
        results = derive(sources, models())
    except (OSError, ValueError, SyntaxError) as error:
        print(f"tools.export_skips: {error}", file=sys.stderr)
        return 1
    measured.write(given.output, results, command="python -m tools.export_skips COMMIT")
    count = len(results["architectures"])
    print(f"{counted(count, 'architecture')} in {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
