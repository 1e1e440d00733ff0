"""The end of a process in which the Temporal SDK may still be at work."""

import contextlib
import logging
import os
import sys
from typing import NoReturn


def end(code: int) -> NoReturn:
    """Flush and end the process at once: what the SDK leaves may abort a normal exit (code 134)."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
