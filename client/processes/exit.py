"""Ends a process in which the Temporal SDK may still be at work."""

import contextlib
import logging
import os
import sys
from typing import NoReturn


def exit_now(code: int) -> NoReturn:
    """Flush logs and output, and end the process without the interpreter's own shutdown.

    That shutdown destroys the SDK's native objects while their threads may still use them, and
    sometimes aborts with exit code 134 instead of `code`. It would also wait for threads of tools.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
