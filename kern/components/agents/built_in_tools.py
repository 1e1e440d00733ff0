"""Kern's own tools, by which a model reads past runs and changes the session's state."""

from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.context.chat_history import PastContext, PastRun
from kern.tools.run_context import RunContext
from kern.tools.tool import Tool

_LARGEST_PAGE = 50


class Edit(BaseModel):
    """One change of one key of the session's state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    op: Literal["set", "delete", "increment", "append"] = Field(
        description="set the value, delete the key, add to a number, or append to a list"
    )
    key: str
    value: JsonValue = None


def built_in_tools(*, reads_history: bool, searches: bool, changes_state: bool) -> list[Tool]:
    """Return the tools that an agent's options enable."""
    tools = (
        (reads_history, Tool(read_chat_history, effect="read", retries=2)),
        (searches, Tool(search_past_sessions, effect="read", retries=2)),
        # The state changes in the transaction that ends the call, so the call may be repeated.
        (changes_state, Tool(update_session_state, effect="idempotent")),
    )
    return [tool for is_enabled, tool in tools if is_enabled]


def read_chat_history(
    run_context: PastContext,
    runs: Annotated[int, Field(ge=1, le=_LARGEST_PAGE)] = 10,
    before: int | None = None,
) -> list[PastRun]:
    """Read earlier requests of this conversation and what was answered, the oldest first.

    Args:
        runs: How many requests to read.
        before: Read those before the request with this number; none for the latest ones.
    """
    return run_context.past.chat_history(runs, before)


def search_past_sessions(
    query: str,
    run_context: PastContext,
    limit: Annotated[int, Field(ge=1, le=_LARGEST_PAGE)] = 10,
) -> list[PastRun]:
    """Search past conversations with this user for words, the newest first.

    Args:
        query: Up to eight words that must all occur in what was asked or answered.
        limit: How many to return at most.
    """
    return run_context.past.search(query, limit)


def update_session_state(changes: list[Edit], run_context: RunContext) -> str:
    """Change what is remembered in this conversation's state.

    Args:
        changes: What to change, in this order; all of it or, if one fails, nothing.
    """
    state = run_context.session_state
    for change in changes:
        match change.op:
            case "set":
                state[change.key] = change.value
            case "delete":
                state.pop(change.key, None)
            case "increment":
                state.increment(change.key, cast("float", change.value))
            case "append":
                state.append(change.key, change.value)
    return f"Changed: {', '.join(dict.fromkeys(change.key for change in changes)) or 'nothing'}."
