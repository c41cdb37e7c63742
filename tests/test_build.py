"""Options of the build are checked before anything is built."""

import socket

import pytest

from tools.gallery import build


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fersh"], "--fersh is not an option: did you mean --fresh?"),
        (["-b"], "expected one argument"),
        (["-b", "linkchek"], "linkchek is not a builder: did you mean linkcheck?"),
        (["--page", "nothing"], "nothing is not a page"),
        (["docs"], "docs is not an option"),
    ],
)
def test_an_option_that_there_is_not_is_refused(arguments, told, capsys):
    with pytest.raises(SystemExit) as left:
        build.parse(arguments)
    assert left.value.code == 2
    assert told in capsys.readouterr().err


def test_help_is_ours(capsys):
    with pytest.raises(SystemExit) as left:
        build.parse(["--help"])
    assert left.value.code == 0
    assert "--serve" in capsys.readouterr().out


def test_options_are_understood():
    options = build.parse(["--fresh", "-b", "linkcheck", "--latest"])
    assert (options.fresh, options.builder, options.latest) == (True, "linkcheck", True)


def test_a_port_in_use_is_told_before_anything_is_built(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(build, "PORT", listener.getsockname()[1])
        assert build.is_busy()
        assert build.main(["--serve"]) == 1
    assert "is in use" in capsys.readouterr().err
    assert not build.is_busy()


@pytest.mark.parametrize("name", ["SMALLPORT_ASETS", "SMALLPORT_TORCH"])
def test_a_setting_without_effect_is_told_before_anything_is_built(name, monkeypatch, capsys):
    monkeypatch.setenv(name, "2.13.0")
    assert build.main([]) == 1
    assert name in capsys.readouterr().err
