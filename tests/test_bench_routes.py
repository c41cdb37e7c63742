"""The benchmark measures every route on the same text, and its results come back as they were."""

import copy
import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from smallport import lstm, measured
from smallport.bench import routes as benchmark
from smallport.bench.install_size import install_megabytes, with_requirements
from smallport.bench.route_results import (
    Results,
    RouteResult,
    as_table,
    goals,
    overview,
    read_results,
)
from smallport.bench.routes import measure_routes
from smallport.quantize.routes import Route, prepared_module, route_named
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
    assert results.speedup("first") == Ratio(1, 1, 1)
    assert results.processes == 1
    assert first.maintenance == "good"
    shapes = [shape for shape, _ in model.seen]
    whole, chunked, single = [(25, 1)] * 2 + [(10, 1)], [(25, 1), (5, 1)], [(1, 1)] * 5
    assert shapes[: 3 + 3 * 2 + 3 * 5] == whole + chunked * 3 + single * 3
    assert {threads for _, threads in model.seen[:24]} == {1}


@pytest.mark.parametrize(
    ("route", "rnn", "reason"),
    [
        ("ONNX 2 to 4 bits", nn.LSTM(48, 8), "blocks of 128 do not divide rows of 48 weights"),
        ("ONNX int8", nn.LSTM(48, 8, bias=False), "LSTMOperators takes an LSTM with biases"),
    ],
)
def test_a_route_that_does_not_support_the_model_is_left_out(text, route, rnn, reason):
    pytest.importorskip("onnxruntime")
    model = lstm.WordLanguageModel(WORDS, lstm.LSTMConfig(48, 8, layers=1)).eval()
    model.rnn = rnn
    results = measure_routes(
        model,
        text,
        "narrow",
        routes=[benchmark.ROUTES[0], route_named(route)],
        repeats=1,
        timed_tokens=20,
        single_words=2,
    )
    assert [one.route for one in results.routes] == [benchmark.ROUTES[0].name]
    assert reason in results.missing[route]


def test_a_model_without_a_first_state_is_told_before_anything_is_prepared(model, text):
    without = nn.Module()
    without.encoder, without.rnn, without.decoder = model.encoder, model.rnn, model.decoder
    with pytest.raises(TypeError, match="measure_routes: Module has no method initial_state"):
        measure_routes(without, text, "other")


@pytest.mark.parametrize(
    ("name", "layer", "wanted"),
    [
        ("rnn", nn.GRU(8, 8), "torch.nn.LSTM with the length first"),
        ("rnn", nn.LSTM(8, 8, batch_first=True), "torch.nn.LSTM with the length first"),
        ("encoder", None, "torch.nn.Embedding, and is None"),
    ],
)
def test_a_model_with_other_layers_is_told_which(model, text, name, layer, wanted):
    other = copy.deepcopy(model)
    setattr(other, name, layer)
    with pytest.raises(TypeError, match=f"{name} of Counting should be a {wanted}"):
        measure_routes(other, text, "other")


def test_a_model_with_weights_elsewhere_is_told_where(model, text):
    model.norm = torch.nn.LayerNorm(4)
    with pytest.raises(TypeError, match=r"Counting has weights in norm, too\. Wrap"):
        measure_routes(model, text, "other")


def test_ratios_are_those_of_the_turns():
    slow, fast = Timing((2.0, 9.0, 4.0)), Timing((1.0, 3.0, 4.0))
    assert Ratio.of(slow, fast) == Ratio(2, 1, 3)
    with pytest.raises(ValueError, match="shorter"):
        Ratio.of(slow, Timing((1.0,)))


def result(name, *, megabytes=100.0, loss=5.0, speedup=1.0, words=1.0, reference=5.0):
    return RouteResult(
        route=name,
        megabytes=megabytes,
        stored={"embedding": "int8", "LSTM": "float32", "decoder": "int8"},
        loss=loss,
        tokens=10,
        reference_loss=reference,
        chunks=Timing((12.0 / speedup, 24.0 / speedup)),
        words=Timing((3.0 / words, 4.0 / words)),
        install_megabytes=12.5,
        maintenance="none",
    )


RESULTS = Results(
    "a model",
    (
        result("eager float32"),
        result("fast", speedup=6.0, words=2.0, loss=5.2, megabytes=10.0),
        result("small", megabytes=12.5, loss=5.009, words=7.0),
        result("both", megabytes=16.0, loss=5.0005, speedup=4.8),
    ),
    {"absent": "not installed: absent"},
    processes=2,
)
IN_ONNX = replace(RESULTS, routes=(*RESULTS.routes, result("ONNX float32", speedup=2, words=4)))


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
    assert list(table["route"]) == ["eager float32", "fast", "small", "both", "absent"]
    assert list(table["times smaller"]) == ["1.00", "10.00", "8.00", "6.25", ""]
    assert list(table["change"]) == ["0.0000", "+0.2000", "+0.0090", "+0.0005", ""]
    assert table["maintenance"].iloc[-1] == "not installed: absent"


def test_the_table_has_both_baselines_where_both_were_measured():
    assert not [name for name in as_table(RESULTS) if "× ONNX" in name]
    table = as_table(IN_ONNX).set_index("route").loc["fast"]
    assert table["chunks, × eager"] == "6.00 (6.00 to 6.00)"
    assert table["chunks, × ONNX"] == "3.00 (3.00 to 3.00)"
    assert table["words, × eager"] == "2.00 (2.00 to 2.00)"
    assert table["words, × ONNX"] == "0.50 (0.50 to 0.50)"


def test_the_overview_has_the_measured_routes_with_medians():
    table = overview(RESULTS)
    assert list(table["route"]) == [route.route for route in RESULTS.routes]
    whole = as_table(RESULTS).set_index("route")
    for _, row in table.iterrows():
        shown = row["chunks, × eager"]
        assert float(shown) > 0
        assert whole.loc[row["route"], "chunks, × eager"].startswith(f"{shown} (")


def test_the_cost_of_a_slow_route_is_that_on_the_tokens_that_it_read():
    slow = result("slow", loss=4.5, reference=4.25)
    results = replace(RESULTS, routes=(RESULTS.routes[0], slow))
    assert results.cost("slow") == 0.25
    assert list(as_table(results)["change"])[:2] == ["0.0000", "+0.2500"]


def test_goals_name_the_best_route_within_what_it_may_cost():
    fastest, writer, smallest, both = goals(RESULTS)
    assert fastest.startswith(
        "fastest in chunks: fast, 6.00 (6.00 to 6.00) times eager float32; wanted 5"
    )
    assert writer.startswith("fastest for single words: small, 7.00")
    assert "small, 8.00 times, +0.0090 nats" in smallest
    assert "both, 4.80" in both
    assert "and 3.00 (3.00 to 3.00) times ONNX float32" in goals(IN_ONNX)[0]
    costly = [replace(route, loss=5.5) for route in RESULTS.routes[1:]]
    *_, smallest, both = goals(replace(RESULTS, routes=(RESULTS.routes[0], *costly)))
    assert ": eager float32, 1.00 times" in smallest
    assert ": eager float32, 1.00" in both


@pytest.fixture
def command(tmp_path, monkeypatch, tiny_corpus, good_weights):
    """Give a function that runs the command, and lists what it measured."""

    class Pretrained:
        file = good_weights
        config = lstm.LSTMConfig(16, 16, 1)
        sha256 = "weights"

    calls = []

    def in_this_process(function, *arguments):
        calls.append(function.__name__)
        return function(*arguments)

    monkeypatch.setattr(benchmark.assets, "corpus", lambda: tiny_corpus)
    monkeypatch.setattr(benchmark.assets, "language_model", lambda _: Pretrained)
    monkeypatch.setattr(benchmark, "ROUTES", ROUTES[:2])
    monkeypatch.setattr(benchmark, "in_fresh_process", in_this_process)

    def run(*options):
        calls.clear()
        benchmark.main(["--keep", str(tmp_path / "routes.json"), "--repeats", "2", *options])
        return calls

    return run


def test_the_command_measures_the_assets_and_writes_a_file(command, tmp_path, capsys):
    file = tmp_path / "routes.json"
    assert command("--processes", "3") == ["loss_of", *["times_of"] * 3]
    _, results = read_results(file)
    assert [route.route for route in results.routes] == ["first"]
    assert "absent" in results.missing
    assert "embedded weights" in results.model
    assert results.processes == 3
    assert len(results.routes[0].chunks.seconds) == len(results.routes[0].words.seconds) == 3 * 2
    assert results.cost("first") == 0
    assert json.loads(file.read_text())["provenance"]["machine"]["threads"] == 1
    assert [one.name for one in tmp_path.glob("routes*")] == ["routes.json"]
    printed = capsys.readouterr().out
    assert f"written to {file}" in printed
    assert "fastest in chunks: first" in printed


def test_a_part_of_the_text_can_be_chosen(command, tmp_path):
    command("--processes", "1", "--tokens", "40")
    provenance, results = read_results(tmp_path / "routes.json")
    assert results.routes[0].tokens == 39
    assert provenance.command == "nox -s bench -- --tokens 40"


def test_an_interrupted_run_continues_where_it_was(command, tmp_path, monkeypatch):
    interrupting = iter([None, KeyboardInterrupt])
    times_of = benchmark.times_of

    def interrupted(*arguments):
        if error := next(interrupting):
            raise error
        return times_of(*arguments)

    interrupted.__name__ = "times_of"
    monkeypatch.setattr(benchmark, "times_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command("--processes", "2")
    partial = tmp_path / "routes.json.partial"
    assert list(json.loads(partial.read_text())["done"]) == [
        "loss of first",
        "times in process 0",
    ]
    monkeypatch.setattr(benchmark, "times_of", times_of)
    assert command("--processes", "2") == ["times_of"]
    assert not partial.exists()


def test_results_of_different_code_or_weights_are_dropped(tmp_path):
    file = tmp_path / "x.partial"
    assert benchmark.resume(file, "key", "loss", lambda: 1) == 1
    assert benchmark.resume(file, "key", "loss", lambda: 2) == 1
    assert benchmark.resume(file, "other", "loss", lambda: 3) == 3
    assert benchmark.resume(file, "other", "loss", lambda: 4) == 3


def test_a_slow_route_is_measured_on_the_beginning_of_the_text(model, text, monkeypatch):
    monkeypatch.setattr(benchmark, "BEGINNING", 31)
    made = worse()
    whole = benchmark.measure_loss_in_time(made, model, text)
    assert (whole["tokens"], "reference_loss" in whole) == (len(text) - 1, False)
    monkeypatch.setattr(benchmark, "LONGEST", 0)
    part = benchmark.measure_loss_in_time(made, model, text)
    assert part["tokens"] == 30
    assert part["loss"] == benchmark.measure_loss(made, text[:31])["loss"]
    expected = float(lstm.losses(model, text[:31]).double().mean())
    assert part["reference_loss"] == expected != part["loss"]


def test_packages_count_with_all_that_they_require_beyond_what_is_there():
    required = with_requirements(["pandas"])
    assert required >= {"pandas", "numpy", "python-dateutil"}
    assert "pytest" not in required
    assert with_requirements(["no-such-package"]) == set()
    assert install_megabytes(["numpy"]) == 0
    alone = install_megabytes(["python-dateutil"], beyond=())
    assert 0 < alone < install_megabytes(["pandas"], beyond=()) < 1000
