"""The benchmark measures every route on the same text, and its results come back as they were."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from smallport import lstm, measured
from smallport.bench import routes as benchmark
from smallport.bench.install_size import install_megabytes, with_requirements
from smallport.bench.route_results import (
    Results,
    RouteResult,
    as_table,
    goals,
    read_results,
)
from smallport.bench.routes import measure_routes
from smallport.quantize.routes import Route, prepared_module
from smallport.timing import Ratio, Timing

WORDS = 30


class Counting(lstm.WordLanguageModel):
    """A model that notes the shapes that it reads, and by how many threads."""

    seen: list

    def forward(self, tokens, state):
        """Note the call."""
        self.seen.append((tuple(tokens.shape), torch.get_num_threads()))
        return super().forward(tokens, state)


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        counting = Counting(WORDS, lstm.LSTMConfig(8, 4, 1)).eval()
    counting.seen = []
    return counting


@pytest.fixture
def text():
    return torch.randint(WORDS, (61,), generator=torch.Generator().manual_seed(0))


def as_it_is(model, _):
    return prepared_module(model, model)


def worse(*_):
    changed = lstm.WordLanguageModel(WORDS, lstm.LSTMConfig(8, 4, 1)).eval()
    return prepared_module(changed, changed)


ROUTES = (
    Route("first", as_it_is, maintenance="good"),
    Route("absent", as_it_is, packages=("no_such_package",)),
    Route("worse", worse),
)


def test_every_route_is_measured_on_the_whole_text_by_one_thread(model, text):
    before = torch.get_num_threads()
    results = measure_routes(
        model, text, "a model", routes=ROUTES, repeats=2, timed_tokens=31, single_words=5
    )
    assert torch.get_num_threads() == before
    first, other = results.routes
    assert first.loss == pytest.approx(float(lstm.losses(model, text).mean()), rel=1e-6)
    assert first.loss != other.loss
    assert first.tokens == other.tokens == len(text) - 1
    assert results.missing == {"absent": "not installed: no_such_package"}
    assert len(first.chunks.seconds) == len(first.words.seconds) == 2
    assert first.speedup == Ratio(1, 1, 1)
    assert first.maintenance == "good"
    shapes = [shape for shape, _ in model.seen]
    whole, chunked, single = [(25, 1)] * 2 + [(10, 1)], [(25, 1), (5, 1)], [(1, 1)] * 5
    assert shapes[: 3 + 3 * 2 + 3 * 5] == whole + chunked * 3 + single * 3
    assert {threads for _, threads in model.seen[:24]} == {1}


def test_ratios_are_those_of_the_turns():
    slow, fast = Timing((2.0, 9.0, 4.0)), Timing((1.0, 3.0, 4.0))
    assert Ratio.of(slow, fast) == Ratio(2, 1, 3)
    with pytest.raises(ValueError, match="shorter"):
        Ratio.of(slow, Timing((1.0,)))


def result(name, *, megabytes=100.0, loss=5.0, speedup=1.0, words=1.0):
    return RouteResult(
        route=name,
        megabytes=megabytes,
        stored={"embedding": "int8", "LSTM": "float32", "decoder": "int8"},
        loss=loss,
        tokens=10,
        chunks=Timing((1.0, 2.0)),
        words=Timing((3.0, 4.0)),
        speedup=Ratio(speedup, speedup, speedup),
        words_speedup=Ratio(words, words, words),
        install_megabytes=12.5,
        maintenance="none",
    )


RESULTS = Results(
    "a model",
    (
        result("floats"),
        result("fast", speedup=6.0, words=2.0, loss=5.2, megabytes=10.0),
        result("small", megabytes=12.5, loss=5.009, words=7.0),
        result("both", megabytes=16.0, loss=5.0005, speedup=4.8),
    ),
    {"absent": "not installed: absent"},
)


def test_results_come_back_as_they_were(tmp_path):
    measured.write(tmp_path / "x.json", asdict(RESULTS), command="nox -s bench")
    provenance, back = read_results(tmp_path / "x.json")
    assert back == RESULTS
    assert provenance.command == "nox -s bench"
    assert back.named("small").megabytes == 12.5


@pytest.mark.parametrize(
    "broken", [[], {"model": "x"}, {"routes": [{}], "model": "", "missing": {}}]
)
def test_a_file_without_routes_is_refused(tmp_path, broken):
    measured.write(tmp_path / "x.json", broken, command="nox -s bench")
    with pytest.raises(ValueError, match=r"no results of routes.*again with nox -s bench"):
        read_results(tmp_path / "x.json")


def test_the_table_has_a_row_a_route_and_says_why_one_is_missing():
    table = as_table(RESULTS)
    assert list(table["route"]) == ["floats", "fast", "small", "both", "absent"]
    assert list(table["times smaller"]) == ["1.00", "10.00", "8.00", "6.25", ""]
    assert list(table["change"]) == ["0.0000", "+0.2000", "+0.0090", "+0.0005", ""]
    assert table["maintenance"].iloc[-1] == "not installed: absent"


def test_goals_name_the_best_route_within_what_it_may_cost():
    fastest, writer, smallest, both = goals(RESULTS)
    assert fastest.startswith("fastest in chunks: fast, 6.00 (6.00 to 6.00) times; wanted 5")
    assert writer.startswith("fastest for single words: small, 7.00")
    assert "small, 8.00 times, +0.0090 nats" in smallest
    assert "both, 4.80" in both
    costly = [replace(route, loss=5.5) for route in RESULTS.routes[1:]]
    *_, smallest, both = goals(replace(RESULTS, routes=(RESULTS.routes[0], *costly)))
    assert ": floats, 1.00 times" in smallest
    assert ": floats, 1.00" in both


def test_the_command_measures_the_assets_and_writes_a_file(
    tmp_path, monkeypatch, capsys, tiny_corpus, good_weights
):
    config = lstm.LSTMConfig(16, 16, 1)

    class Pretrained:
        file = good_weights

    Pretrained.config = config
    monkeypatch.setattr(benchmark.assets, "corpus", lambda: tiny_corpus)
    monkeypatch.setattr(benchmark.assets, "language_model", lambda _: Pretrained)
    measure = benchmark.measure_routes
    monkeypatch.setattr(
        benchmark,
        "measure_routes",
        lambda *args, **options: measure(*args, **options, routes=ROUTES[:1], single_words=5),
    )
    file = tmp_path / "routes.json"
    benchmark.main([str(file), "--repeats", "2"])
    _, results = read_results(file)
    assert [route.route for route in results.routes] == ["first"]
    assert "embedded weights" in results.model
    assert json.loads(file.read_text())["provenance"]["machine"]["threads"] == 1
    printed = capsys.readouterr().out
    assert f"written to {file}" in printed
    assert "fastest in chunks: first" in printed


def test_packages_count_with_all_that_they_require_beyond_what_is_there():
    required = with_requirements(["pandas"])
    assert required >= {"pandas", "numpy", "python-dateutil"}
    assert "pytest" not in required
    assert with_requirements(["no-such-package"]) == set()
    assert install_megabytes(["numpy"]) == 0
    alone = install_megabytes(["python-dateutil"], beyond=())
    assert 0 < alone < install_megabytes(["pandas"], beyond=()) < 1000
