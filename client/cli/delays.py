"""Prints to standard error what delays a run: a delivery, or a worker that is missing."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager

from kern.client.cli.printing import one_line
from kern.client.service import missing_worker
from kern.process.logs import fields_of

_LOGGERS = ("kern.courier", missing_worker.LOGGER)
_EVENTS = {"delivery_postponed", "worker_missing"}


class _Delays(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        fields = fields_of(record)
        if fields.get("event") in _EVENTS:
            sys.stderr.write(f"kern: {one_line(str(fields.get('why')))}\n")


@contextmanager
def reporting_delays() -> Generator[None]:
    """Print while the block lasts why what was accepted is not delivered or executed yet."""
    handler = _Delays(logging.WARNING)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    states = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, level, passes_on in states:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = passes_on
