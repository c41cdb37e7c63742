"""The site shows what pages measured, what others published, and what was stored."""

import itertools
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

import results
from smallport import measured
from smallport.bench.route_results import read_results
from smallport.export.coverage import Coverage
from smallport.export.recipes import GUARD_PAGE, ONNX_PAGE, PAGES
from smallport.export.report import STAGES
from smallport.records import Result
from smallport.sweep import upstream
from smallport.sweep.history import remember
from smallport.sweep.scoreboard import read_scoreboard, save
from smallport.sweep.upstream import ExportTests, UpstreamTests
from tests.sweep_helpers import report_with
from tools.gallery import project

PUBLISHED = results.Published("113.944 MB", 113.944, "Another name.", "https://example.org")
ALL = ["passed"] * len(STAGES)


def test_a_figure_that_differs_says_why():
    text = PUBLISHED.beside(Result("size", 113.9454, "MB"))
    assert "https://example.org" in text
    assert text.endswith("Another name.")


def test_a_figure_that_agrees_needs_no_reason():
    assert "Another name" not in PUBLISHED.beside(Result("size", 113.9441, "MB"))


def test_every_published_figure_has_its_number_in_its_words():
    for figure in results.published_figures().values():
        assert f"{figure.number:g}" in figure.value
        assert figure.why.endswith(".")


@pytest.fixture
def lines(monkeypatch):
    """Give what the directive writes where every page measured one thing."""
    result = Result("int8 size, to float32", 0.7, "", at_most=0.71)
    monkeypatch.setattr(results, "measured", lambda _: {result.name: result})
    return results.Measured.everything(SimpleNamespace())


def test_pages_stand_under_headings_in_the_order_of_the_gallery(lines):
    headings = [line for line, under in itertools.pairwise(lines) if set(under) == {"^"}]
    assert headings == [
        f":doc:`{project.title(page)} </gallery/{project.docname(page)}>`"
        for page in project.in_reading_order()
    ]


def test_numbers_are_written_as_people_do(lines):
    text = "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
    assert "30% smaller" in text
    assert "at least 29% smaller" in text


def test_the_published_column_is_there_only_where_something_was_published(lines):
    tables = re.split(r"^\.\. list-table:: Measured by ", "\n".join(lines), flags=re.MULTILINE)[1:]
    assert tables
    for one in tables:
        assert ("     - published\n" in one) == ("(`source <" in one)


@pytest.mark.parametrize("name", ["routes", "routes-three-epochs"])
def test_every_stored_route_is_shown_with_both_baselines_and_where_it_comes_from(name):
    provenance, stored = read_results(name)
    text = "\n".join(results.routes_table(provenance, stored, "All routes"))
    assert f"**Measured on {provenance.date}** on {provenance.machine.processor}" in text
    commit, changed, _ = provenance.commit.partition("+")
    assert f"commit ``{commit}``" in text
    assert ("uncommitted" in text) == bool(changed)
    for route in stored.routes:
        assert f"* - {route.route}\n     - {route.megabytes:.2f}\n" in text
        assert f"     - {route.loss:.4f}\n" in text
        for baseline in ("eager float32", "ONNX float32"):
            assert f"     - {stored.speedup(route.route, baseline)}\n" in text


def test_a_route_that_was_not_measured_says_why():
    _, stored = read_results()
    lacking = replace(stored, routes=stored.routes[:1], missing={"other": "not installed: x"})
    text = "\n".join(results.routes_table(measured.provenance("here"), lacking, "Some"))
    assert "* - other\n     - not installed: x\n" in text


def test_a_slow_route_says_how_much_it_read():
    _, stored = read_results("routes-three-epochs")
    slow = replace(stored.routes[1], tokens=999)
    some = replace(stored, routes=(stored.routes[0], slow), processes=3)
    text = "\n".join(results.routes_table(measured.provenance("here"), some, "Some"))
    assert f"*{slow.route}* read only the first 1,000 tokens: *change* is that on" in text
    assert "in 3 processes." in text


def test_the_stored_routes_say_which_part_of_the_text_was_read():
    provenance, stored = read_results("routes-three-epochs")
    whole, *_ = results.routes_table(provenance, stored, "All routes")
    assert "the mean over 245,569 tokens of test text; " in whole
    assert "in 1 process." in whole
    beginning = replace(stored, routes=(replace(stored.routes[0], tokens=19_999),))
    part, *_ = results.routes_table(provenance, beginning, "All routes")
    assert "the mean over the first 20,000 of the 245,569 tokens of test text; " in part


def test_the_published_run_has_the_figures_of_the_tutorial_beside_the_stored_ones():
    _, stored = read_results()
    text = "\n".join(results.published_run(stored))
    for figure in ("113.944 MB", "79.738 MB", "5.167 nats", "5.168 nats", "188.6 s", "106.2 s"):
        assert f":published:`{figure}`" in text
    assert text.count(" ×`") == len(results.PUBLISHED_TIMES) == 4
    assert ":published:`1.78 ×`" in text
    assert f"- {stored.named('eager int8').loss:.3f} nats" in text


@pytest.fixture
def file(tmp_path):
    """Keep three reports on four architectures."""
    failing = report_with("passed", "passed", "failed", name="b", error="Error: 1 < 2 & <b>")
    stages = list(failing.stages)
    stages[2] = replace(stages[2], recipe="guard-refuses")
    diverging = list(report_with(*ALL[:3], "failed", name="c").stages)
    diverging[3] = replace(diverging[3], largest_difference=math.nan)
    reports = [
        report_with(*ALL, name="a"),
        replace(failing, stages=tuple(stages)),
        replace(report_with(*ALL[:3], "failed", name="c"), stages=tuple(diverging)),
    ]
    kept = tmp_path / "sweep.json"
    ended = {"d": "ran out of 300 s (in exported)"}
    save(kept, ["a", "b", "c", "d"], reports, command="smallport sweep", no_verdict=ended)
    return kept


def rendered(part, file):
    pages = {"live": "live.html"} | {page: f"{page}.html" for page in PAGES}
    return results.render(f"{part}.html", pages, file)


def test_counts_have_all_architectures_below_the_line(file):
    html = rendered("counts", file)
    found = re.findall(r"(\d+) of 4 passed, (\d+) failed[^,]*, (\d+) not reached, 1 without", html)
    numbers = [tuple(map(int, row)) for row in found]
    assert numbers == [(3, 0, 0), (3, 0, 0), (2, 1, 0), (1, 1, 1), *[(1, 0, 2)] * 4]
    assert html.count("1 failed (1 with different numbers)") == 1
    for failed, kinds in re.findall(r", (\d+) failed \((.*?)\)", html):
        assert sum(map(int, re.findall(r"\d+", kinds))) == int(failed)
    assert "all 4 registered architectures" in html


def test_every_architecture_has_a_row(file):
    html = rendered("table", file)
    rows = re.findall(r'<th scope="row">(?:<a href="#found-\w+">)?(\w+)', html)
    assert rows == ["a", "b", "c", "d"]
    assert "no verdict: ran out of 300 s (in exported)" in html
    assert html.count("✗") == 2
    assert html.count("✓") == len(STAGES) + 2 + 3
    assert 'data-key="nan"' in html


def test_a_row_leads_to_error_recipe_and_command(file):
    html = rendered("found", file)
    assert re.findall(r'<div id="found-(\w+)">', html) == ["a", "b", "c"]
    assert "Error: 1 &lt; 2 &amp; &lt;b&gt;" in html
    assert f'<a href="{GUARD_PAGE}.html#recipe-guard-refuses">' in html
    assert "<code>smallport check b</code>" in html


def test_a_stored_error_without_a_recipe_gets_one_that_came_later(file):
    error = "ConversionError: No ONNX function found for <OpOverload(op='aten.cummax')>"
    report = report_with(*ALL[:5], "failed", name="a", error=error)
    save(file, ["a"], [report], command="smallport sweep")
    html = rendered("found", file)
    assert f'<a href="{ONNX_PAGE}.html#recipe-onnx-function-missing">' in html


def test_causes_name_their_architectures(file):
    html = rendered("causes", file)
    assert "1 failed in <em>exported</em>" in html
    assert '<a href="#found-b">b</a>' in html


@pytest.fixture
def encoders(tmp_path):
    """Keep a report on one of three encoders, of which one is out of scope."""
    whole = report_with(*ALL, name="a:masked-lm")
    stages = tuple(one for one in whole.stages if one.stage != "decodes")
    kept = tmp_path / "sweep-masked-lm.json"
    save(
        kept,
        ["a:masked-lm", "b:masked-lm", "c:masked-lm"],
        [replace(whole, stages=stages)],
        command="smallport sweep --task masked-lm",
        out_of_scope={"b:masked-lm": "its input is sound"},
    )
    return kept


def test_a_tab_of_encoders_has_their_stages_and_all_of_them_below_the_line(encoders):
    html = rendered("counts", encoders)
    ending = "0 not reached, 1 without a verdict, 1 out of scope"
    assert html.count(f"1 of 3 passed, 0 failed, {ending}") == len(STAGES) - 1
    assert "decodes" not in html
    table = rendered("table", encoders)
    assert "All architectures of masked language modelling" in table
    assert "<td>out of scope: its input is sound</td>" in table
    assert table.count("no verdict") == 1
    assert "transformers' tests" not in table
    columns = {row.count("<td") for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]}
    assert columns == {len(STAGES) - 1 + 2}
    assert '<a href="#found-a.masked-lm">a:masked-lm</a>' in table
    assert '<div id="found-a.masked-lm">' in rendered("found", encoders)


def test_there_is_a_tab_for_each_task_with_or_without_results(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "STORED", tmp_path)
    (tmp_path / "sweep-masked-lm.json").touch()
    lines = "\n".join(results.tabs("counts"))
    assert re.findall(":sync: (.*)", lines) == ["causal-lm", "masked-lm", "seq2seq-lm"]
    assert re.findall("scoreboard:: (.*)", lines) == ["counts masked-lm"]
    assert "No sweep of sequence-to-sequence language modelling is stored yet." in lines


def test_a_sweep_without_a_history_says_so(file):
    assert "No sweep with different versions is stored yet." in rendered("changes", file)


def test_changes_come_with_their_causes_and_what_is_no_longer_compared(file):
    before = read_scoreboard(file)
    wider = Coverage({"outputs": ["logits", "present"], "number of tensors": [5]}, {})
    reports = {
        "a": replace(before.reports["a"], coverage=wider),
        "b": report_with(*ALL, name="b"),
        "e": report_with(*ALL, name="e"),
    }
    provenance = replace(before.provenance, versions={"torch": "1 < 2"}, commit="abc")
    remember(
        file, replace(before, registered=("a", "b", "e"), reports=reports, provenance=provenance)
    )
    html = rendered("changes", file)
    assert "+0, \N{MINUS SIGN}1, 2 new, 1 removed" in html
    assert "torch 1 &lt; 2 →" in html
    assert '<a href="#found-c">c</a> (fails), d (no verdict)' in html
    assert '<a href="#found-b">b</a>' in html
    assert "because of <code>Error: … &lt; … &amp; &lt;b&gt;</code> in <em>exported</em>: b" in html
    assert '<a href="#found-a">a</a> (0 of 5 tensors, no output logits, no output present)' in html
    assert "<strong>No longer registered (1):</strong> e" in html
    assert "The code of the check is the same." in html


def test_a_check_that_may_have_changed_is_named(file):
    before = read_scoreboard(file)
    provenance = replace(before.provenance, versions={}, commit="abc")
    remember(file, replace(before, provenance=provenance, check=""))
    assert "a difference may be caused by the check" in rendered("changes", file)


def test_their_own_tests_stand_next_to_ours(file, monkeypatch):
    facts = UpstreamTests(
        "0123456789abcdef",
        "https://example.org/test_export.py",
        0.05,
        {
            "a": ExportTests((("onnx.dynamic", "Too <slow>"),)),
            "b": ExportTests((("generate", "Keeps state"),)),
            "c": ExportTests(tests="https://example.org/test_c.py"),
            "d": ExportTests(tests="https://example.org/test_d.py"),
        },
    )
    monkeypatch.setattr(upstream, "read_upstream", lambda: facts)
    html = rendered("upstream", file)
    text = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    assert "1 agree b 1 skipped there, passes here a" in text
    assert (
        "1 tested there, differs here, where their test ignores up to 5% of the elements c" in text
    )
    assert "0 tested there, fails here None. 1 not known" in text
    assert "at commit 0123456789ab" in text
    assert "<td>skipped there, passes here</td>" in rendered("table", file)
    assert "Skipped in <em>onnx.dynamic</em>: “Too &lt;slow&gt;”." in rendered("found", file)


def test_a_difference_comes_with_its_explanation(file):
    html = rendered("mismatches", file)
    assert '<a href="#found-c">c</a> differs by nan in <em>matches</em>' in html
    assert "Not explained yet." in html
    assert '<a href="live.html#branch-on-length">' in rendered("mismatches", results.SWEEP)


def test_nothing_is_asked_of_another_host(file):
    html = "".join(
        rendered(part, file)
        for part in ("counts", "changes", "causes", "mismatches", "upstream", "table", "found")
    )
    assert not re.search(r"src=\"(?:https?:)?//|<link", html)


def test_a_number_that_is_none_is_the_largest():
    stages = list(report_with(*ALL).stages)
    stages[3] = replace(stages[3], largest_difference=math.nan)
    stages[5] = replace(stages[5], largest_difference=2.0)
    assert math.isnan(results.largest_difference(replace(report_with(*ALL), stages=tuple(stages))))
    assert results.largest_difference(report_with(*ALL)) is None
