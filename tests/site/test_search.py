"""Search the site, and see which page comes first."""

import pytest

pytestmark = pytest.mark.site

FIRST = {
    "quantize LSTM": "gallery/quantization/plot_20_lstm_dynamic_quantization.html",
    "DynamicCache export": "gallery/export/plot_12_tiny_llm_export.html",
    "int8 slower": "gallery/quantization/plot_50_when_is_int8_faster.html",
    "Cannot associate shape": (
        "gallery/export/plot_20_export_error_cookbook.html#recipe-cache-no-pytree"
    ),
    "weights_only": "gallery/quantization/plot_22_save_and_load_quantized.html",
    "ONNX LSTM": "gallery/quantization/plot_40_lstm_through_onnx.html",
    "prefill": "glossary.html#term-prefill",
    "kv cache": "glossary.html#term-KV-cache",
    "zero point": "glossary.html#term-zero-point",
    "grouped query": "gallery/export/plot_10_tiny_llm_inputs.html",
    "dynamic_axes": "gallery/quantization/plot_40_lstm_through_onnx.html",
    "install": "index.html",
    "check own model": "index.html",
    "classifier": "index.html",
    # Whoever types the name of a function wants its reference.
    "show_table": "api/smallport.display.show_table.html",
}
SEARCHED = "#search-results .search-summary:not(:empty)"
"""What Sphinx writes when it has listed everything."""


@pytest.fixture
def search(tab, address):
    """Search for words, as somebody does who types them into the field."""
    page = tab()

    def found(words):
        page.goto(f"{address}index.html")
        page.keyboard.press("Control+K")
        page.keyboard.type(words)
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?*")
        page.wait_for_selector(SEARCHED)
        return page.eval_on_selector_all(
            "#search-results ul.search > li > a",
            "links => links.map((link) => link.getAttribute('href'))",
        )

    return found


@pytest.mark.parametrize("words", FIRST)
def test_the_right_page_comes_first(search, words):
    found = search(words)
    assert found, f"nothing was found for {words!r}"
    assert found[0] == FIRST[words], "\n".join(found[:5])


def test_what_is_nowhere_is_not_found(search):
    assert search("xylophone") == []
