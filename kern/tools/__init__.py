"""Tools: functions that a model may call, with the gates that people put before them."""

from kern.contracts.approval import Approval, Escalation
from kern.tools.reconciling import DidNotHappen, Happened, Reconciler, StillUnknown
from kern.tools.run_context import RunContext
from kern.tools.tool import Function, Predicate, Tool, ask_user, tool
from kern.values.bounds import Bounds
from kern.values.deciders import REQUESTER
from kern.values.states import Effect, OnExpiry, Risk

Requester = REQUESTER
__all__ = [
    "Approval",
    "Bounds",
    "DidNotHappen",
    "Effect",
    "Escalation",
    "Function",
    "Happened",
    "OnExpiry",
    "Predicate",
    "Reconciler",
    "Requester",
    "Risk",
    "RunContext",
    "StillUnknown",
    "Tool",
    "ask_user",
    "tool",
]
