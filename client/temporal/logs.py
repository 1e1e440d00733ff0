"""Sends the log lines of the SDK's native part to Python's logging, like all others."""

import contextlib
import logging
import threading
from typing import Literal

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

_forwarded = threading.Event()


def forward(level: Literal["WARN", "ERROR"] = "ERROR") -> None:
    """Send those log lines to the logger `temporalio.core`; a second call does nothing.

    Call it before the first connection. By default the lines go to standard output, in the middle
    of what a script prints.
    """
    if _forwarded.is_set():
        return
    _forwarded.set()
    logs = LoggingConfig(
        TelemetryFilter(core_level=level, other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logging.getLogger("temporalio.core"),
            append_target_to_name=False,
            prepend_target_on_message=False,
        ),
    )
    # The application has already set a default runtime of its own.
    with contextlib.suppress(RuntimeError):
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=logs)))
