"""The results page shows kept results as they were kept."""

from dataclasses import replace

import kept
from smallport import measured
from smallport.bench.route_results import read_results


def test_every_kept_route_is_shown_with_where_it_comes_from():
    provenance, results = read_results()
    text = "\n".join(kept.written(provenance, results))
    assert f"**Measured on {provenance.date}** on {provenance.machine.processor}" in text
    assert f"commit ``{provenance.commit}``" in text
    for route in results.routes:
        assert f"* - {route.route}\n     - {route.megabytes:.2f}\n" in text
        assert f"     - {route.loss:.4f}\n" in text


def test_a_route_that_was_not_measured_says_why():
    _, results = read_results()
    lacking = replace(results, routes=results.routes[:1], missing={"other": "not installed: x"})
    text = "\n".join(kept.written(measured.provenance("here"), lacking))
    assert "* - other\n     - not installed: x\n" in text
