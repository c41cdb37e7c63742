"""The rules on English that a program can check: ``python -m tools.lint.prose [FILE ...]``.

``prose.toml`` has the rules and their exceptions. They apply to titles, texts, docstrings and
messages, in a second for the whole project.
"""

import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.gallery import project
from tools.gallery.project import Finding, finding
from tools.lint import passages

RULES = Path(__file__).with_name("prose.toml")
KINDS = ("title", "text", "summary", "docstring", "message")
CHECKED = (
    "*.md",
    "docs/*.rst",
    "docs/_ext/*.py",
    "docs/_templates/*/*.html",
    "docs/_templates/page/*.rst",
    "noxfile.py",
    "src/**/*.py",
    "tools/**/*.py",
    "examples/*/*.py",
    "examples/*/*.rst",
)


@dataclass(frozen=True)
class Rule:
    """A rule on English.

    Parameters
    ----------
    name
        Its name.
    pattern
        A regular expression, which knows no case; a space in it is any white space.
    advice
        The wording to use.
    bad, good
        A sentence that it finds, and one that it passes.
    kinds
        The kinds of passage that it applies to.
    """

    name: str
    pattern: str
    advice: str
    bad: str
    good: str
    kinds: tuple[str, ...] = KINDS

    @functools.cached_property
    def expression(self) -> re.Pattern[str]:
        """The pattern, compiled, for whole words."""
        spaced = re.sub(r"(?<!\\) ", r"\\s+", self.pattern)
        return re.compile(rf"(?<!\w)(?:{spaced})(?!\w)", re.IGNORECASE | re.MULTILINE)

    def found(self, passage: passages.Passage) -> Iterator[tuple[int, str]]:
        r"""Find the rule's words in a passage, with their line.

        Parameters
        ----------
        passage
            The passage.

        Examples
        --------
        >>> rule = Rule("cost", "price", "say what it costs", "The price.", "The cost.")
        >>> list(rule.found(passages.Passage("text", 4, "It is\nthe price of it.")))
        [(5, 'price')]
        """
        if passage.kind in self.kinds:
            for found in self.expression.finditer(passage.text):
                line = passage.line + passage.text.count("\n", 0, found.start())
                yield line, " ".join(found.group().split())


@dataclass(frozen=True)
class Exemption:
    """A place where a rule does not apply.

    Parameters
    ----------
    file, rule, text
        The file, the rule and the words that it finds there.
    reason
        The reason.
    """

    file: str
    rule: str
    text: str
    reason: str


def read(file: Path | None = None) -> tuple[list[Rule], list[Exemption]]:
    """Read the rules and their exceptions.

    Parameters
    ----------
    file
        The file that has them; ``prose.toml`` if left out.
    """
    content = tomllib.loads((file or RULES).read_text(encoding="utf-8"))
    rules = [Rule(**one | {"kinds": tuple(one.get("kinds", KINDS))}) for one in content["rule"]]
    return rules, [Exemption(**one) for one in content.get("exception", [])]


def findings(files: list[Path] | None = None) -> list[Finding]:
    """Apply the rules to some files, or to all of the project.

    Parameters
    ----------
    files
        The files.
    """
    rules, exemptions = read()
    chosen = files or [file for pattern in CHECKED for file in sorted(project.ROOT.glob(pattern))]
    found, used = [], set()
    for file in chosen:
        name = project.name_of(file)
        here = [one for one in exemptions if one.file == name]
        for passage in readable(file):
            for rule in rules:
                for line, text in rule.found(passage):
                    exempt = [one for one in here if (one.rule, one.text) == (rule.name, text)]
                    used.update(exempt)
                    if not exempt:
                        message = f"{text!r}: {rule.advice}"
                        found.append(finding(file, line, f"prose-{rule.name}", message))
    for one in exemptions:
        if not one.reason.strip():
            message = f"the exception of {one.rule} in {one.file} has no reason: give one"
            found.append(finding(RULES, None, "prose-exception", message))
        elif one not in used and not files:
            message = f"{one.file} has no {one.text!r} for {one.rule}: delete the exception"
            found.append(finding(RULES, None, "prose-exception", message))
    return found


def readable(file: Path) -> list[passages.Passage]:
    """Read the prose of a file; nothing where it is no Python, which ruff reports."""
    try:
        return passages.passages(file)
    except SyntaxError:
        return []


def main(arguments: list[str]) -> int:
    """Print the findings; fail where there are any."""
    found = findings([Path(argument).resolve() for argument in arguments] or None)
    for one in found:
        print(f"{one} [{one.rule}]")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
