"""Options of the build, and what it refuses before anything runs."""

import os
import socket
import subprocess
import sys

import pytest

from tools.gallery import build, project
from tools.lint import pages as page_rules


def refused(arguments, capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        build.parse(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fersh"], "--fersh is not an option: did you mean --fresh?"),
        (["--fre"], "--fre is not an option"),
        (["--page", "plot_12_tiny_llm_exprot"], "did you mean plot_12_tiny_llm_export?"),
        (["-b"], "argument -b/--builder: expected one argument"),
        (["-b", "htlm"], "htlm is not a builder: did you mean html?"),
    ],
)
def test_an_option_that_there_is_not_is_refused_with_the_nearest(arguments, message, capsys):
    error = refused(arguments, capsys)
    assert message in error
    assert "--help` explains" in error


def test_help_is_ours(capsys):
    with pytest.raises(SystemExit) as stopped:
        build.parse(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "nox -s docs --" in shown
    assert "without the gates" in shown


def test_options_are_read():
    options = build.parse(["--page", "plot_12_tiny_llm_export", "--latest", "-b", "linkcheck"])
    assert (options.page, options.latest, options.builder) == (
        "plot_12_tiny_llm_export",
        True,
        "linkcheck",
    )


def test_a_misspelt_setting_stops_the_build(monkeypatch, capsys):
    monkeypatch.setenv("SMALLPORT_ASETS", "published")
    assert build.main([]) == 1
    assert "did you mean SMALLPORT_ASSETS?" in capsys.readouterr().err


def test_a_busy_port_stops_before_anything_is_built(monkeypatch, capsys):
    with socket.create_server((build.HOST, 0)) as listener:
        monkeypatch.setattr(build, "PORT", listener.getsockname()[1])
        assert build.main(["--serve"]) == 1
    assert "is in use" in capsys.readouterr().err


def test_findings_of_lint_stop_before_anything_is_built(monkeypatch, capsys):
    script = next(iter(project.scripts()))
    found = project.finding(script, 3, "prose", "says nothing")
    monkeypatch.setattr(page_rules, "findings", lambda: [found])
    assert build.main([]) == 1
    error = capsys.readouterr().err
    assert f"{project.name_of(script)}:3" in error
    assert "Nothing was built: 1 finding of lint." in error


def test_settings_that_hide_assertions_and_warnings_are_dropped(monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setattr(page_rules, "findings", list)
    monkeypatch.setattr(build, "build", lambda _: 0)
    assert build.main([]) == 0
    assert not {"PYTHONOPTIMIZE", "PYTHONWARNINGS"} & os.environ.keys()


def test_an_interrupted_build_says_so_in_a_word(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(page_rules, "findings", list)
    monkeypatch.setattr(build, "build", interrupted)
    assert build.main([]) == build.INTERRUPTED
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_options_are_refused_before_torch_is_imported():
    program = (
        "import sys\nfrom tools.gallery import build\n"
        "try:\n    build.main(['--fersh'])\n"
        "except SystemExit:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
