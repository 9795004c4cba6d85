"""Logs are captured from every logger, and nothing of anybody's logging is changed."""

import io
import logging
import logging.config
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from capture.attempts import At
from dagflow.capture import Capture, TaskOutput, capturing
from dagflow.capture.logs import capturing_logs
from dagflow.capture.masking import Masker


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of its own, with what was changed of it put back."""
    found = logging.getLogger("capture.logs")
    yield found
    found.propagate, found.disabled = True, False
    found.setLevel(logging.NOTSET)
    found.handlers.clear()
    found.filters.clear()


def output() -> TaskOutput:
    return TaskOutput(Masker(), None, None)


async def test_every_logger_is_captured(logger: logging.Logger) -> None:
    """Loggers that do not propagate, that are made in the task, and the root logger are captured."""
    logger.propagate = False
    async with Capture().open(At()) as captured:
        logger.error("one")
        logging.getLogger("capture.logs.made.here").warning("two")
        logging.warning("three")
    assert "ERROR capture.logs: one\nWARNING capture.logs.made.here: two\nWARNING root: three\n" == captured.tail


async def test_levels_are_what_they_are(logger: logging.Logger) -> None:
    """What a logger is not enabled for is not captured, what it is enabled for is, whatever handlers want."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setLevel(logging.CRITICAL)
    logger.addHandler(handler)
    async with Capture().open(At()) as captured:
        logger.info("not enabled")
        logger.setLevel(logging.DEBUG)
        logger.debug("enabled")
        logger.disabled = True
        logger.error("disabled")
    assert "DEBUG capture.logs: enabled\n" == captured.tail


async def test_other_handlers_see_what_they_saw(logger: logging.Logger) -> None:
    """A handler gets each record once, and formats it as if nothing else had."""

    class Custom(logging.Formatter):
        def formatException(self, ei: Any) -> str:
            return "[my traceback]"

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Custom("%(message)s"))
    logger.addHandler(handler)
    async with Capture().open(At()) as captured:
        try:
            raise LookupError("nothing")
        except LookupError:
            logger.exception("failed %d times", 3)
    assert "failed 3 times\n[my traceback]\n" == stream.getvalue()
    assert "Traceback" in captured.tail
    assert captured.tail.endswith("LookupError: nothing\n")


async def test_a_record_that_cannot_be_formatted_is_captured(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments that do not fit the message do not fail the task, and what there is of them is kept."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    async with Capture().open(At()) as captured:
        logger.error("%d items", "many")
    assert "ERROR capture.logs: '%d items' (cannot be formatted" in captured.tail


async def test_what_formatting_logs_is_not_captured(logger: logging.Logger) -> None:
    """An argument that logs while it is shown does not make the capture run in circles."""

    class Chatty:
        def __str__(self) -> str:
            logger.error("from within")
            return "shown"

    logger.propagate = False  # other handlers show it again, which is their affair
    logger.addHandler(logging.NullHandler())
    async with Capture().open(At()) as captured:
        logger.error("%s", Chatty())
    assert "ERROR capture.logs: shown\n" == captured.tail


def test_outside_of_a_task_nothing_is_captured(logger: logging.Logger) -> None:
    """Who logs outside of any output is not touched, while others are captured."""
    mine = output()
    with capturing_logs():
        logger.error("nobody's")
        with capturing(mine):
            logger.error("mine")
            with capturing(None):
                logger.error("nobody's")
    assert "ERROR capture.logs: mine\n" == mine.tail


def test_the_factory_is_put_back() -> None:
    """The last who captures puts the factory back, whoever was first."""
    before = logging.getLogRecordFactory()
    first, second = capturing_logs(), capturing_logs()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert before is not logging.getLogRecordFactory()
    second.__exit__(None, None, None)
    assert before is logging.getLogRecordFactory()


def test_factories_of_others_are_kept(logger: logging.Logger) -> None:
    """A factory that somebody else sets meanwhile stays, and no record is captured twice because of it."""
    before = logging.getLogRecordFactory()
    mine = output()
    made = 0

    def theirs(*args: Any, **kwargs: Any) -> logging.LogRecord:
        nonlocal made
        made += 1
        return inner(*args, **kwargs)

    try:
        with capturing_logs():
            inner = logging.getLogRecordFactory()
            logging.setLogRecordFactory(theirs)
            with capturing(mine):
                logger.error("below theirs")
                with capturing_logs():
                    logger.error("above theirs")
        assert theirs is logging.getLogRecordFactory()
        with capturing(mine):
            logger.error("after")
    finally:
        logging.setLogRecordFactory(before)
    assert ("ERROR capture.logs: below theirs\nERROR capture.logs: above theirs\n", 3) == (mine.tail, made)


def test_records_from_elsewhere_are_not_captured() -> None:
    """A record that is made of what another process logged belongs to nobody here."""
    mine = output()
    with capturing_logs(), capturing(mine):
        logging.makeLogRecord({"name": "elsewhere", "msg": "theirs", "levelno": 40})
    assert "" == mine.tail


@pytest.mark.slow
def test_logging_goes_on_as_it_would_without_us() -> None:
    """In a program without handlers warnings still go to standard error, and `basicConfig` in a task still works."""
    program = """
import logging
from dagflow.capture.logs import capturing_logs
from dagflow.capture import TaskOutput, Masker, capturing
with capturing_logs(), capturing(TaskOutput(Masker(), None, None)) as _:
    logging.getLogger("a").warning("last resort")
    logging.basicConfig(level=logging.INFO, format="%(name)s says %(message)s")
    logging.getLogger("b").info("configured")
assert len(logging.root.handlers) == 1
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "last resort\nb says configured\n" == done.stderr
