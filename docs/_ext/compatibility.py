"""Show the compatibility grid: ``.. compatibility:: PART``, for each template in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dependencies
from tools.gallery import project

TEMPLATES = project.DOCS / "_templates" / "compatibility"
STORED = project.ROOT / "src" / "smallport" / "measured" / "compat.json"
CODE = project.ROOT / "tools" / "compat"
SIGNS = {
    "matches": "✓",
    "exported": "△",
    "rejected": "✗",
    "cannot be imported": "⊘",
    "no result": "?",
}
ABOUT = {
    "plain torch.export": "torch.export.export is called without any preparation.",
    "cache registered by hand": "The cache is registered as a pytree node before "
    "torch.export.export is called.",
    "onnx-diagnostic's patches": "torch.export.export is called within "
    "torch_export_patches(patch_transformers=True) of onnx-diagnostic.",
    "onnx-diagnostic, patch_transformers=False": "The same without the patches of transformers: "
    "onnx-diagnostic registers the cache and patches only PyTorch.",
    "transformers' exporters": "The DynamoExporter of transformers exports the model.",
}


class Compatibility(SphinxDirective):
    """Show one part of the grid."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Render the stored results."""
        template = TEMPLATES / f"{self.arguments[0]}.html"
        if not template.exists():
            raise self.error(f"the grid has no part {self.arguments[0]!r}: see {TEMPLATES}")
        dependencies.note_modules(self.env, "smallport.measured")
        for dependency in (STORED, template, CODE / "table.py", CODE / "routes.py"):
            self.env.note_dependency(str(dependency))
        return [nodes.raw("", render(template.name), format="html")]


def render(template: str, results: Path = STORED) -> str:
    """Write one part of the grid in HTML."""
    from tools.compat.table import read_grid  # noqa: PLC0415 - imports PyTorch

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    grid, provenance = read_grid(results)
    values: dict[str, Any] = {"grid": grid, "provenance": provenance}
    return environment.get_template(template).render(signs=SIGNS, about=ABOUT, **values)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("compatibility", Compatibility)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
