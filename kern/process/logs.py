"""Kern's loggers: standard logging underneath, an event and key-value pairs on top.

A library says nothing unless it is asked to: only warnings reach a script that configures no
logging. Texts of models, people and tools are logged at DEBUG at most, and secrets never. What a
model's server says of its own failure is logged, with control characters spelled out.
"""

import json
import logging
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from kern.process.foreign_errors import cause_of, guarded, kind_of, traceback_of

_FIELDS = "kern_fields"
_TEMPORAL = "temporalio"
_MOST_PLACES = 5
_MOST_REMEMBERED = 10_000
_NO_FACTS: Mapping[str, object] = {}
_code_facts: ContextVar[Mapping[str, object]] = ContextVar("code_facts", default=_NO_FACTS)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose calls take an event's name and key-value pairs."""
    wrapped = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _hand_over],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", wrapped)


class OnceLog:
    """Warns once of what repeats, such as at each try of an activity."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._logged: dict[tuple[str, str], None] = {}

    def warn(self, event: str, **pairs: object) -> None:
        """Warn, unless the same was warned of lately."""
        key = (event, repr(sorted(pairs.items())))
        if key in self._logged:
            return
        self._logged[key] = None
        while len(self._logged) > _MOST_REMEMBERED:
            del self._logged[next(iter(self._logged))]
        self._log.warning(event, **pairs)


def log_json(level: int = logging.INFO) -> None:
    """Write every log record of this process as one line of JSON on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # It reports every part of itself that it loads.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """Return the event's name and the pairs of a record that one of Kern's loggers made."""
    fields: Mapping[str, object] = getattr(record, _FIELDS, {})
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event, and the event's pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        fields = fields_of(record)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": "",
            **(fields or {"event": record.getMessage(), **_temporal_fields(record)}),
        }
        if record.exc_info:
            error = record.exc_info[1]
            line["exception"] = "" if error is None else _traceback_of(error)
            if record.name.startswith(_TEMPORAL) and not logging.root.isEnabledFor(logging.DEBUG):
                line["exception"] = _without_words(error)
        return printable(json.dumps(line, default=str, ensure_ascii=False))


def printable(text: str) -> str:
    """Return a text in which what could steer a terminal, or begin a line, is spelled out.

    The spelling is that of JSON, so a JSON text stays one.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def places_of(error: BaseException) -> str:
    """Return where an exception was raised, the innermost place first, without any values."""
    frames = [*traceback.walk_tb(traceback_of(error))][-_MOST_PLACES:]
    return ", ".join(
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
        for frame, line in reversed(frames)
    )


def warn_raised(role: str, name: str, error: BaseException, **facts: object) -> None:
    """Log what code of users raised and where, without words and values, which may be anybody's.

    `role` is the sort of code, such as `tool` or `predicate`; `name` is that of its declaration.
    """
    get_logger("kern.code").warning(
        "code_raised",
        role=role,
        name=name,
        error=kind_of(error),
        at=places_of(error),
        **{**_code_facts.get(), **facts},
    )


@contextmanager
def code_of(**facts: object) -> Generator[None]:
    """Have `warn_raised` say these facts too, such as the ids of a run, inside the block."""
    token = _code_facts.set({**_code_facts.get(), **facts})
    try:
        yield
    finally:
        _code_facts.reset(token)


def _temporal_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what Temporal's own record says of a run: its workflow's id ends with the run's."""
    for attribute in ("temporal_activity", "temporal_workflow"):
        details = getattr(record, attribute, None)
        if isinstance(details, Mapping) and "workflow_id" in details:
            # `kern:<installation>:<run>`, and a run's id may have colons of its own.
            return {"run_id": str(details["workflow_id"]).split(":", 2)[-1]}
    return {}


def _without_words(error: BaseException | None) -> str:
    """Return kinds and places of an error and its causes: its words may be those of a model."""
    lines: list[str] = []
    visited: list[BaseException] = []
    while error is not None and all(error is not item for item in visited):
        visited.append(error)
        lines = [
            *traceback.format_tb(traceback_of(error)),
            f"{kind_of(error)}\n",
            *(["The cause of:\n"] if lines else []),
            *lines,
        ]
        error = cause_of(error)
    return "".join(lines)


def _hand_over(
    _logger: WrappedLogger, _method: str, event: EventDict
) -> tuple[tuple[str], dict[str, object]]:
    fields = dict(event)
    fields |= _raised(fields.pop("exc_info", None))
    name = fields.get("event", "")
    pairs = printable(
        " ".join(f"{key}={value!s}" for key, value in fields.items() if key != "event")
    )
    text = f"{name} {pairs}".strip()
    # None, since `exception` has a traceback printed otherwise.
    return (text,), {"extra": {_FIELDS: fields}, "exc_info": None}


def _raised(exc_info: object) -> dict[str, object]:
    """Return pairs about an exception, and at DEBUG its words: no formatter prints a traceback."""
    if not exc_info:
        return {}
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    if error is None:
        return {}
    pairs: dict[str, object] = {"error": kind_of(error), "at": places_of(error)}
    cause = cause_of(error)
    if cause is not None:
        pairs |= {"cause": kind_of(cause), "cause_at": places_of(cause)}
    if logging.root.isEnabledFor(logging.DEBUG):
        pairs["exception"] = _traceback_of(error)
    return pairs


def _traceback_of(error: BaseException) -> str:
    """Return a traceback with all words, or without any if one of them cannot be had."""
    return guarded(lambda: "".join(traceback.format_exception(error)), "") or _without_words(error)
