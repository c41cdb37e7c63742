"""A misspelt setting, or one without effect, is refused and explained."""

import pytest

from smallport import assets, checks
from tools.gallery import settings


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"SMALLPORT_ASETS": "published"}, "did you mean SMALLPORT_ASSETS?"),
        ({"SMALLPORT_FRESH": "*"}, "SMALLPORT_FRESH is not a setting"),
        ({"SMALLPORT_ASSETS": "publishd"}, "neither 'embedded' nor 'published'"),
        ({"SMALLPORT_DATA_DIR": "data"}, "no effect unless SMALLPORT_ASSETS=published"),
        ({"SMALLPORT_TINY_LLM_REVISION": "main"}, "no effect unless SMALLPORT_ASSETS=published"),
        ({"SMALLPORT_TORCH": "2.13.0"}, "no effect without --latest"),
        ({"SMALLPORT_PAGE_SECONDS": "a while"}, "not a number of seconds"),
        ({"SMALLPORT_PAGE_SECONDS": "-1"}, "not a number of seconds"),
    ],
)
def test_a_setting_without_effect_is_refused(environment, told):
    (problem,) = settings.problems(environment)
    assert told in problem


def test_settings_with_an_effect_are_not():
    environment = {
        "HOME": "/somewhere",
        "SMALLPORT_ASSETS": "published",
        "SMALLPORT_DATA_DIR": "data",
        "SMALLPORT_CACHE_DIR": "cache",
        "SMALLPORT_PAGE_SECONDS": "60",
        "SMALLPORT_SITE_URL": "https://example.org",
        "SMALLPORT_TORCH": "2.13.0",
    }
    assert settings.problems(environment, latest=True) == []
    assert settings.page_seconds(environment) == 60


def test_the_names_are_those_that_the_package_reads():
    assert settings.RESULTS_FILE == checks.RESULTS_FILE
    assert {assets.CACHE_DIR, assets.DATA_DIR, assets.PROFILE, assets.REVISION} <= settings.KNOWN
    assert set(assets.PROFILES) == set(settings.PROFILES)


def test_problems_are_printed_and_an_error(monkeypatch, capsys):
    assert settings.main([]) == 0
    monkeypatch.setenv("SMALLPORT_ASETS", "published")
    assert settings.main([]) == 1
    assert "SMALLPORT_ASSETS" in capsys.readouterr().err
