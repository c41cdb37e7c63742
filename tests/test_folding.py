"""Code that only draws is folded away, and nothing else is."""

from docutils import nodes

import folding


def code(text):
    return nodes.literal_block(text, text)


def test_only_what_draws_is_folded():
    document = nodes.section()
    document += [code("print(1)"), code("\n# Drawing: bars that fall\nplt.show()"), code("$ ls")]
    folding.fold(None, document)
    plain, opening, drawn, closing, other = document.children
    assert plain.astext() == "print(1)"
    assert opening.astext().startswith("<details")
    assert "<summary>" in opening.astext()
    assert "Drawing" in drawn.astext()
    assert closing.astext() == "</details>"
    assert other.astext() == "$ ls"
