"""The model writes in the browser what it writes in Python, and nothing is loaded before it may."""

import json
import math

import numpy as np
import onnxruntime as ort
import pytest

from smallport.quantize.onnx import operator_counts
from tools.demo import files, making
from tools.site import axe, layout, ready, visit

pytestmark = pytest.mark.site

PAGE = "in_the_page.html"
SERVED = ready.SITE / "in_the_page"
CHOICES = {"drawn": "drawn at random", "probable": "the most probable one"}
MEGABYTE = 1e6


@pytest.fixture(scope="module")
def expected():
    """Read what the build wrote; there is nothing to test where it could not make the demo."""
    description = json.loads(files.DESCRIPTION.read_text(encoding="utf-8"))
    if missing := description.get("missing"):
        pytest.skip(missing)
    return json.loads((SERVED / files.EXPECTED).read_text(encoding="utf-8"))


class Reader:
    """Somebody at the page, whose browser's log is kept."""

    def __init__(self, window, address):
        self.log = visit.Log(address)
        self.log.listen(window)
        self.responses = []
        window.on("response", self.note)
        self.page = window.new_page()
        self.page.goto(address + PAGE, wait_until="networkidle")

    def note(self, response):
        """Keep what came; Playwright takes no method of a list."""
        self.responses.append(response)

    @property
    def requests(self):
        """The addresses that were asked for."""
        return [response.url for response in self.responses]

    def status(self, text):
        """Wait until the page says something."""
        status = self.page.get_by_role("status").filter(has_text=text)
        status.first.wait_for()
        return status.first.text_content()

    def load(self):
        """Press the button, and wait for the model."""
        self.page.get_by_role("button", name="Load the model").click()
        self.status("The model is ready.")

    def write(self, choice):
        """Let the model write; return the rows of the table, and what the page says of it."""
        self.page.get_by_label(CHOICES[choice]).check()
        self.page.get_by_role("button", name="Write 100 words").click()
        status = self.status("words per second")
        rows = self.page.locator("#demo-words tr").all_inner_texts()
        return [row.split("\t") for row in rows], status

    def tokens(self, kind="written"):
        """Give the indices of the words that were written last."""
        script = f"document.getElementById('demo').{kind}.map(({{token}}) => token)"
        return self.page.evaluate(script)


@pytest.fixture
def reader(expected, window, address):
    """Open the page, where there is a demo on it."""
    assert expected
    return Reader(window(), address)


def uniform(number, word):
    """Draw the random number of a word, in integers without a limit."""
    bits = (int(number * 2**32) + word * 0x9E3779B9) % 2**32
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ bits >> shift) * factor % 2**32
    return ((bits ^ bits >> 16) + 0.5) / 2**32


def written_in_python(expected, choice, model=files.MODEL):
    """Write with ONNX Runtime and NumPy only; return indices and probabilities."""
    session = ort.InferenceSession(SERVED / model, providers=["CPUExecutionProvider"])
    words = json.loads((SERVED / files.VOCABULARY).read_text(encoding="utf-8"))
    layers, _, hidden_size = session.get_inputs()[1].shape
    hidden = cell = np.zeros((layers, 1, hidden_size), dtype=np.float32)
    read = [words.index(word) for word in expected["beginning"]]
    tokens, probabilities = [], []
    for number in expected["numbers"]:
        inputs = {"tokens": np.array(read, dtype=np.int64)[:, None], "hidden": hidden, "cell": cell}
        logits, hidden, cell = session.run(None, inputs)
        powers = np.exp(logits[-1, 0].astype(np.float64) - logits[-1, 0].max())
        found = powers / powers.sum()
        waits = [-math.log(uniform(number, word)) / share for word, share in enumerate(found)]
        token = found.argmax() if choice == "probable" else np.argmin(waits)
        tokens.append(int(token))
        probabilities.append(found[token])
        read = [int(token)]
    return tokens, probabilities


@pytest.mark.parametrize("choice", CHOICES)
def test_the_browser_writes_what_python_writes(reader, expected, choice):
    reader.load()
    rows, status = reader.write(choice)
    tokens, probabilities = written_in_python(expected, choice)
    assert len(tokens) == 100
    assert [word["token"] for word in expected[choice]] == tokens, "the build wrote other words"
    assert reader.tokens() == tokens, "the browser wrote other words than Python"
    assert [word for word, *_ in rows] == [word["word"] for word in expected[choice]]
    shown = [0.0 if share.startswith("<") else float(share.rstrip("%")) for _, share, _ in rows]
    assert shown == pytest.approx([100 * one for one in probabilities], abs=0.06)
    assert all(float(time.removesuffix(" ms")) >= 0 for *_, time in rows)
    assert "They are the same words" in status
    assert not reader.log.problems(PAGE)


def test_float32_is_loaded_on_demand_and_the_page_says_where_the_texts_part(reader, expected):
    page = reader.page
    said = page.locator("#demo-parting").text_content()
    reader.load()
    reader.write("drawn")
    assert page.locator("#demo-parting").text_content() == said, "the script says it differently"
    reader.write("probable")
    assert not [url for url in reader.requests if files.FLOAT_MODEL in url]
    button = page.get_by_role("button", name="Compare with float32")
    weight = (SERVED / files.FLOAT_MODEL).stat().st_size / MEGABYTE
    assert f"({weight:.1f}\N{NO-BREAK SPACE}MB)" in button.text_content()
    button.click()
    reader.status("float32 has written, too.")
    tokens, _ = written_in_python(expected, "probable", files.FLOAT_MODEL)
    assert [word["token"] for word in expected["float32"]["probable"]] == tokens
    assert reader.tokens("writtenInFloats") == tokens
    assert button.is_hidden()
    pairs = enumerate(zip(reader.tokens(), tokens, strict=True))
    place = next((place for place, (one, other) in pairs if one != other), None)
    words = json.loads((SERVED / files.VOCABULARY).read_text(encoding="utf-8"))
    written = [] if place is None else [reader.tokens()[place], tokens[place]]
    shown = page.locator("#demo-text mark, #demo-float-text mark").all_inner_texts()
    assert shown == ["↵" if words[token] == "<eos>" else words[token] for token in written]
    reader.write("drawn")  # with both models, whose texts may be the same
    assert len(reader.tokens("writtenInFloats")) == 100
    assert not reader.log.problems(PAGE)


@pytest.mark.usefixtures("expected")
def test_the_front_page_has_the_model_without_the_comparison(window, address):
    page = window().new_page()
    page.goto(f"{address}index.html")
    page.get_by_role("button", name="Load the model").click()
    status = page.get_by_role("status")
    status.filter(has_text="The model is ready.").first.wait_for()
    page.get_by_role("button", name="Write 100 words").click()
    status.filter(has_text="words per second").first.wait_for()
    assert page.locator("#demo-text").inner_text().startswith("The value of the ")
    assert page.get_by_role("button", name="Compare with float32").count() == 0


@pytest.mark.usefixtures("expected")
def test_the_served_model_is_the_int8_one():
    operators = operator_counts(SERVED / files.MODEL)
    assert set(operators) >= making.INTEGER_OPERATORS
    assert not set(operators) & making.FLOAT_OPERATORS
    float_bytes = (SERVED / files.FLOAT_MODEL).stat().st_size
    assert (SERVED / files.MODEL).stat().st_size < 0.3 * float_bytes


def test_nothing_is_loaded_before_the_reader_asks(reader):
    assert not [url for url in reader.requests if "/in_the_page/" in url]
    reader.load()
    loaded = [url for url in reader.requests if "/in_the_page/" in url]
    assert len(loaded) == len(files.LOADED)
    said = reader.page.locator("#demo-load").text_content()
    weight = sum((SERVED / name).stat().st_size for name in files.LOADED) / MEGABYTE
    assert f"({weight:.1f}\N{NO-BREAK SPACE}MB)" in said
    before = len(reader.requests)
    reader.write("probable")
    assert len(reader.requests) == before, "what the reader typed may have left the page"
    assert not reader.log.problems(PAGE)


def test_the_page_is_light_before_the_model_is_loaded(reader):
    weight = sum(len(response.body()) for response in reader.responses if response.status == 200)
    assert 0 < weight / MEGABYTE <= 1.5


def test_what_the_reader_types_is_split_and_unknown_words_are_named_with_similar_ones(reader):
    reader.load()
    words = reader.page.get_by_label("Your words")
    words.fill("The interpretor of")
    words.press("Enter")
    status = reader.status("is not one of them")
    assert "“interpretor”" in status
    assert "Try “interpreter”" in status
    assert words.get_attribute("aria-invalid") == "true"
    words.fill("   ")
    words.press("Enter")
    reader.status("Type at least one word.")
    words.fill("a list (or a tuple), if")
    reader.write("probable")
    assert words.get_attribute("aria-invalid") is None
    assert reader.page.locator("#demo-text").inner_text().startswith("a list ( or a tuple ) , if")


def test_the_second_draw_is_another_text_and_the_most_probable_words_run_in_circles(reader):
    reader.load()
    reader.write("drawn")
    first = reader.tokens()
    rows, status = reader.write("drawn")
    assert reader.tokens() != first
    assert "same words" not in status
    circling, _ = reader.write("probable")
    assert len({word for word, *_ in circling[-40:]}) < 20 < len({word for word, *_ in rows[-40:]})


def test_the_keyboard_is_enough(reader):
    page = reader.page
    page.get_by_label("Your words").focus()
    page.keyboard.press("Enter")
    reader.status("press the button first")
    page.keyboard.press("Tab")  # to the choice
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    reader.status("The model is ready.")
    page.keyboard.press("Enter")  # the focus is where the writing starts
    reader.status("They are the same words")
    assert page.get_by_label(CHOICES["probable"]).is_checked()
    assert page.locator(":focus").inner_text() == "Write 100 words"


def test_a_file_that_does_not_come_is_named_and_can_be_tried_again(reader):
    reader.page.route("**/model.onnx*", lambda route: route.fulfill(status=404))
    button = reader.page.get_by_role("button", name="Load the model")
    button.click()
    assert "model.onnx: the server answered 404" in reader.status("did not work")
    reader.page.unroute("**/model.onnx*")
    reader.load()


def test_a_runtime_that_does_not_come_can_be_tried_again(reader):
    reader.page.route("**/onnxruntime.mjs*", lambda route: route.abort())
    reader.page.get_by_role("button", name="Load the model").click()
    reader.status("did not work")
    reader.page.unroute("**/onnxruntime.mjs*")
    reader.load()


@pytest.mark.usefixtures("expected")
def test_a_page_that_is_opened_as_a_file_says_that_it_needs_a_server(tab):
    page = tab()
    page.goto((ready.SITE / PAGE).as_uri())
    assert "python -m http.server" in page.get_by_role("status").first.text_content()
    assert page.get_by_role("button", name="Load the model").is_disabled()


@pytest.mark.parametrize("setting", visit.SETTINGS, ids=str)
@pytest.mark.usefixtures("expected")
def test_the_page_is_sound_when_the_model_has_written(setting, window, address):
    opened = window(setting)
    layout.note_shifts(opened)
    reader = Reader(opened, address)
    reader.load()
    reader.write("drawn")
    problems = [
        *reader.log.problems(PAGE),
        *layout.shifts(reader.page, PAGE, setting),
        *layout.sideways(reader.page, PAGE, setting),
    ]
    axe.load(reader.page)
    problems += axe.problems(reader.page, PAGE, setting)
    assert not problems, "\n" + "\n".join(map(str, problems))


def test_without_javascript_the_page_shows_what_the_build_wrote(expected, browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + PAGE)
    assert page.locator("noscript p").is_visible()
    assert page.get_by_role("button", name="Load the model").count() == 0
    text = page.locator("#demo-text").inner_text().split()
    assert text[:4] == expected["beginning"]
    assert page.locator("#demo-words tr").count() == len(expected["drawn"])
    assert page.get_by_role("img", name="A bar for each word").bounding_box()["height"] > 50
    context.close()
