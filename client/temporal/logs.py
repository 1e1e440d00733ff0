"""Where the log lines of Temporal's native part go: to Python's logging, as all others."""

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
    """Send them to the logger `temporalio.core`, before the first connection; only once a process.

    Left alone, they are written to standard output, in the middle of what a script prints.
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
    # Whoever uses this process has set up a runtime of their own.
    with contextlib.suppress(RuntimeError):
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=logs)))
