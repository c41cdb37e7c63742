"""Show the kept results of the routes: ``.. kept-routes::``."""

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from measured import table
from smallport import measured as kept
from smallport.bench.route_results import Results, read_results, signed
from smallport.measured import Provenance

HEADER = (
    "route",
    "size, MB",
    "times smaller",
    "loss, nats",
    "change, nats",
    "times as fast, in chunks",
    "times as fast, word by word",
)


class KeptRoutes(SphinxDirective):
    """Show what was kept of every route as a table, with where it comes from."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        self.env.note_dependency(str(kept.FOLDER / "routes.json"))
        lines = written(*read_results())
        return self.parse_text_to_nodes(StringList(lines, source="kept results"))


def written(provenance: Provenance, results: Results) -> list[str]:
    """Write the results in reStructuredText."""
    reference = results.routes[0]
    rows = [
        (
            route.route,
            f"{route.megabytes:.2f}",
            f"{reference.megabytes / route.megabytes:.2f}",
            f"{route.loss:.4f}",
            signed(route.loss - reference.loss),
            f"{route.speedup.median:.2f}",
            f"{route.words_speedup.median:.2f}",
        )
        for route in results.routes
    ]
    rows += [(route, why, "", "", "", "", "") for route, why in results.missing.items()]
    return [
        f"**Measured on {provenance.date}** on {provenance.machine}, with "
        + ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
        + f", by ``{provenance.command}`` at commit ``{provenance.commit or 'unknown'}``: "
        f"losses over {reference.tokens + 1:,} tokens of test text, times by one thread.",
        "",
        *table(HEADER, rows, "Every route on WikiText-2"),
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("kept-routes", KeptRoutes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
