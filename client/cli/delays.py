"""Prints delivery delays to standard error."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager

from kern.client.cli.printing import one_line
from kern.process.logs import fields_of

_COURIER = "kern.courier"


class _Delays(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        fields = fields_of(record)
        if fields.get("event") == "delivery_postponed":
            sys.stderr.write(f"kern: {one_line(str(fields.get('why')))}\n")


@contextmanager
def reporting_delays() -> Generator[None]:
    """Print while the block lasts why what was accepted is not delivered yet."""
    logger, handler = logging.getLogger(_COURIER), _Delays(logging.WARNING)
    level, passes_on = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = passes_on
