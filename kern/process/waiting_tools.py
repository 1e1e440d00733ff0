"""Tools that wait for runs: what they do not need meanwhile, the run may need."""

from collections.abc import Callable
from contextvars import ContextVar

# What a tool calls when it begins to wait for a run; None outside of tools.
leave_place: ContextVar[Callable[[], None] | None] = ContextVar("leave_place", default=None)

# Most calls of a tool to Kern are answered before this, and do not count as waiting.
WAIT_SECONDS = 0.5
