"""How the site is built: see contributing.rst for how its pages are run and checked."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from smallport import __version__  # noqa: E402 - after the path above
from tools.gallery import project as sources  # noqa: E402

project = "Smallport"
author = "The Smallport developers"
project_copyright = "2026, The Smallport developers"
version = release = __version__  # without the commit, or each would have all documents read again

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "notfound.extension",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    # Our own, in docs/_ext.
    "accessible",
    "demo",
    "dependencies",
    "discovery",
    "downloads",
    "figures",
    "front",
    "history",
    "inventories",
    "messages",
    "notices",
    "pages",
    "provenance",
    "results",
    "unused",
    "compatibility",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = True
# Type variables in signatures, which have no page of their own.
nitpick_ignore = [
    ("py:class", "smallport.parity.compare.Shape"),
    ("py:class", "smallport.quantize.eager.Model"),
]

# API reference.
autosummary_generate = True
autodoc_typehints = "signature"
autodoc_typehints_format = "fully-qualified"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "torch": ("https://docs.pytorch.org/docs/stable", None),
}

# Where readers find the site, and so its wheel; empty where whoever builds it does not say.
address = os.environ.get("SMALLPORT_SITE_URL", "").rstrip("/")
html_baseurl = address and f"{address}/"
html_extra_path = ["_build/wheel", "_build/demo/site"]
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"
if address:  # cards for social networks name the site
    extensions.append("sphinxext.opengraph")
    ogp_site_url = html_baseurl

# The pages: tools.gallery.execute runs each one in a process of its own, before they are rendered.
plot_gallery = "False"
suppress_warnings = ["sphinx_gallery.space_in_filename"]  # of the folder: lint looks at the names
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "subsection_order": [*(f"../examples/{section}" for section in sources.SECTIONS), "*"],
    "capture_repr": ("_repr_html_",),
    "reset_modules": ("matplotlib", "pages.reset"),
    "reset_modules_order": "both",
    "image_srcset": ["2x"],
    "image_scrapers": ("figures.scrape",),
    "thumbnail_size": (800, 560),
    "default_thumb_file": str(HERE / "_static" / "thumbnail.png"),
    "recommender": {"enable": True, "n_examples": 3, "rubric_header": "Related pages"},
    "doc_module": ("smallport",),
    "backreferences_dir": "gallery/backreferences",
    "inspect_global_variables": True,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,  # our own archive has the wheel, too
}

# Looks. Everything that a page needs is served with it.
html_theme = "pydata_sphinx_theme"
html_title = "Smallport"
html_static_path = ["_static"]
html_css_files = ["smallport.css"]
html_js_files = [("print_in_light.js", {"defer": "defer"})]
html_search_scorer = str(HERE / "_static" / "search_scorer.js")
html_favicon = "_static/logo.svg"
html_context = {"default_mode": "auto"}
alone = (
    "index",
    "in_the_page",
    "results",
    "scoreboard",
    "compatibility",
    "assets",
    "contributing",
    "glossary",
    "licences",
)
html_sidebars = {name: [] for name in alone}
html_scaled_image_link = False  # thumbnails have a size and lead to their pages, not to images
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"image_light": "_static/logo.svg", "image_dark": "_static/logo.svg", "text": project},
    "navbar_align": "left",
    "show_nav_level": 2,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_selector = ":not(.sphx-glr-script-out) > div.highlight > pre"  # not what code printed
copybutton_prompt_text = r">>> |\.\.\.(?: |$)|\$ "
copybutton_prompt_is_regexp = True
copybutton_copy_empty_lines = False
