"""Sends the log lines of the SDK's native part to Python's logging, like all others."""

import contextlib
import logging
import os
from typing import Literal

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from kern.process.forks import abandon

# The process in which they were forwarded; a forked child has another id.
_process: int | None = None


def forward(level: Literal["WARN", "ERROR"] = "ERROR") -> None:
    """Send those log lines to the logger `temporalio.core`; a second call does nothing.

    Call it before the first connection. By default the lines go to standard output, in the middle
    of what a script prints. In a forked child, it also replaces the SDK's runtime, whose threads
    are the parent's.
    """
    global _process
    before, _process = _process, os.getpid()
    if before == _process:
        return
    logs = LoggingConfig(
        TelemetryFilter(core_level=level, other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logging.getLogger("temporalio.core"),
            append_target_to_name=False,
            prepend_target_on_message=False,
        ),
    )
    if before is not None:
        abandon(Runtime.default())
    # The application has already set a default runtime of its own.
    with contextlib.suppress(RuntimeError):
        Runtime.set_default(
            Runtime(telemetry=TelemetryConfig(logging=logs)), error_if_already_set=before is None
        )
