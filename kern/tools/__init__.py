"""Tools: functions that a model may call, with the gates that people put before them."""

from kern.contracts.approval import Approval, Escalation
from kern.tools.run_context import RunContext
from kern.tools.tool import Function, Predicate, Tool, ask_user, tool

__all__ = [
    "Approval",
    "Escalation",
    "Function",
    "Predicate",
    "RunContext",
    "Tool",
    "ask_user",
    "tool",
]
