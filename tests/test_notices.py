"""What others wrote is listed with its licence, and a file that nobody listed is found."""

import dataclasses

import pytest

from tools.downloads import notices
from tools.gallery import project

OURS = notices.Notice("Ours", "MIT", "A. Writer", "https://example.org", "All.", ("_static/a*.js",))


def test_each_notice_has_the_text_of_its_licence():
    listed = notices.notices()
    assert {"Python's documentation", "ONNX Runtime Web"} <= {one.name for one in listed}
    for one in listed:
        text = one.licence_text()
        assert one.cited or len(text) > 500 or "License" in text, one.name


def test_a_licence_that_a_package_lacks_is_named():
    lacking = dataclasses.replace(OURS, text=("sphinx", "NO-SUCH-LICENCE"))
    with pytest.raises(FileNotFoundError, match=r"sphinx .* has no file NO-SUCH-LICENCE"):
        lacking.licence_text()


def test_a_file_that_nobody_listed_is_found(tmp_path):
    for name in ("_static/a.js", "_static/b.js", "_static/smallport.css", "in_the_page/c.wasm"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert list(notices.unlisted(tmp_path, [OURS])) == ["_static/b.js", "in_the_page/c.wasm"]
    assert (project.DOCS / "_static" / "smallport.css").exists()


def test_the_text_for_the_archive_has_name_holder_and_licence():
    text = notices.as_text([OURS])
    assert "## Ours" in text
    assert "Copyright (c) A. Writer" in text
