"""After a change, exactly the pages run again that the change concerns: decided without a run.

The table says by hand what each change concerns. The records are those of the last build of the
site, which has to be there.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.records

DRIVER = Path(__file__).with_name("stale_pages.py")
COPIED = ("src", "tools", "examples", "docs/conf.py", "docs/_ext", "docs/_static", "pyproject.toml")
PAGES = {
    "q10": "plot_10_train_word_language_model",
    "q20": "plot_20_lstm_dynamic_quantization",
    "q30": "plot_30_where_the_megabytes_are",
    "q40": "plot_40_lstm_through_onnx",
    "q50": "plot_50_when_is_int8_faster",
    "q60": "plot_60_which_route",
    "e10": "plot_10_tiny_llm_export",
    "e20": "plot_20_export_error_cookbook",
    "e30": "plot_30_exported_but_is_it_right",
    "e40": "plot_40_scoreboard_live",
}
