"""Tests of :mod:`smallport.export.logs`."""

import logging

import pytest

from smallport.export import caught_logs

NAME = "tests.smallport.logs"


@pytest.fixture
def logger():
    logger = logging.getLogger(NAME)
    yield logger
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


def state(logger):
    return list(logger.handlers), logger.level, logger.propagate


def test_records_are_caught_and_not_printed(logger, capsys):
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.ERROR)
    before = state(logger)
    with caught_logs(NAME) as records:
        logger.info("too low")
        logger.warning("two %s, one argument: %s", *["gaps"])
        logging.getLogger(f"{NAME}.below").warning("from below")
    assert [record.msg for record in records] == ["two %s, one argument: %s", "from below"]
    assert state(logger) == before
    assert capsys.readouterr() == ("", "")


def test_lower_levels_are_caught_on_demand_and_errors_come_along(logger):
    with caught_logs(NAME, logging.INFO) as records:
        try:
            int("the cause")
        except ValueError:
            logger.info("it failed", exc_info=True)
    assert "the cause" in str(records[0].exc_info[1])


def test_a_logger_is_put_back_when_the_block_fails(logger):
    before = state(logger)
    with pytest.raises(ZeroDivisionError), caught_logs(NAME):
        raise ZeroDivisionError
    assert state(logger) == before
