"""What reaches a log: nothing that steers a terminal, and no line that somebody else wrote."""

import json
import logging

import pytest

from kern.process.logs import JsonFormatter, code_of, get_logger, places_of, printable, warn_raised
from tests.support.hostile_errors import BankError

EVIL = "\x1b[2J\x1b[1;31mAPPROVED\x1b[0m\nrun_completed run_id=01\u2028all is well\u202e\x07\x9b"


def test_text_of_a_record_cannot_steer_or_forge(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("kern.test").warning("provider_failed", why=EVIL, run_id="01")
    [record] = caplog.records
    text = record.getMessage()
    assert text.isprintable()
    assert "\\u001b[2J" in text
    assert text.startswith("provider_failed why=")


def test_a_json_line_is_one_line_and_holds_the_text(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("kern.test").warning("provider_failed", why=EVIL + "ü\U000e0041")
    line = JsonFormatter().format(caplog.records[0])
    assert line.isprintable()
    assert json.loads(line)["why"] == EVIL + "ü\U000e0041"
    assert "ü" in line


def test_what_can_be_read_stays() -> None:
    assert printable("Überweisung 5 € → dana 🎉") == "Überweisung 5 € → dana 🎉"


def test_temporals_records_name_the_run(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("temporalio.activity")
    logger.warning("x", extra={"temporal_activity": {"workflow_id": "kern:ab12:order:7"}})
    assert json.loads(JsonFormatter().format(caplog.records[0]))["run_id"] == "order:7"


@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
def test_no_traceback_has_lines_of_its_own(caplog: pytest.LogCaptureFixture, level: int) -> None:
    caplog.set_level(level)
    log = get_logger("kern.test")

    def fail() -> None:
        raise ValueError(EVIL) from KeyError(EVIL)

    try:
        fail()
    except ValueError as error:
        log.exception("broke")
        log.warning("broke", exc_info=error)
    for record in caplog.records:
        text = logging.Formatter().format(record)
        assert text.isprintable()
        assert "error=builtins.ValueError" in text
        assert "cause=builtins.KeyError" in text
        assert "test_logs.py" in text
        assert ("APPROVED" in text) == (level == logging.DEBUG)
        assert JsonFormatter().format(record).isprintable()


def test_whose_code_raised_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with code_of(run_id="01", session_id="s"):
        warn_raised("predicate", "pay", ValueError())
    warn_raised("predicate", "pay", ValueError())
    first, second = (record.getMessage() for record in caplog.records)
    assert "run_id=01 session_id=s" in first
    assert "run_id" not in second


def test_places_have_no_values() -> None:
    def inner(secret: str) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="hush") as caught:
        inner("hush")
    places = places_of(caught.value)
    assert "test_logs.py" in places
    assert "in inner" in places
    assert "hush" not in places


@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
def test_an_error_whose_own_code_raises_is_logged(
    caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level)

    def fail() -> None:
        raise BankError from ValueError(EVIL)

    fields: dict[str, object] = {"name": "temporalio.activity"}
    try:
        fail()
    except Exception as error:  # noqa: BLE001  no type checker knows its class
        get_logger("kern.test").exception("broke")
        warn_raised("tool", "pay", error)
        fields["exc_info"] = (type(error), error, None)
    ours, code, temporals = (
        json.loads(JsonFormatter().format(record))
        # Not through a handler, since that of pytest touches the error.
        for record in [*caplog.records, logging.makeLogRecord(fields)]
    )
    assert ours["error"] == code["error"] == "bank.BankError"
    assert ours["cause"] == "builtins.ValueError"
    assert "test_logs.py" in ours["at"]
    assert "bank.BankError" in temporals["exception"]
    assert "builtins.ValueError" in temporals["exception"]


def test_an_error_that_causes_itself_is_logged() -> None:
    error = ValueError()
    error.__cause__ = error
    fields = {"name": "temporalio.activity", "exc_info": (ValueError, error, None)}
    line = json.loads(JsonFormatter().format(logging.makeLogRecord(fields)))
    assert line["exception"].count("builtins.ValueError") == 1
