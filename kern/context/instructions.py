"""What a model is shown of its session, besides the messages of the run itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from kern.context.history_window import Window
from kern.errors import InvalidDefinition
from kern.values.canonical import canonical_json

DEFAULT_RUNS = 3

# Doubled braces mark a placeholder of another system, which stays as it is.
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|\{([^\W\d]\w*)\}")


@dataclass(frozen=True)
class Context:
    """The part of an agent's declaration that says what its model sees.

    Attributes:
        window: The earlier runs that are shown; None for none.
        shows_state: Whether the session's state is shown as JSON.
        shows_summary: Whether the session's summary is shown.
        members_window: The earlier runs that members of a team see; None for their own options.
        shows_calls: Whether the instructions list the calls that the run has made.
    """

    instructions: str | None = None
    window: Window | None = None
    shows_state: bool = False
    shows_summary: bool = False
    members_window: Window | None = None
    shows_calls: bool = False

    def leading(
        self, instructions: str, members_window: Window | None, *, shows_calls: bool
    ) -> "Context":
        """Return the context of a team's leader, and of its members."""
        return replace(
            self,
            instructions=instructions,
            members_window=members_window,
            shows_calls=shows_calls,
        )

    @property
    def reads_session(self) -> bool:
        """Whether a turn has to read the session's state or summary."""
        return (
            self.shows_state
            or self.shows_summary
            or any(match.group(1) for match in _PLACEHOLDER.finditer(self.instructions or ""))
        )

    @property
    def declaration(self) -> list[JsonValue]:
        """The options that are set, of those that the first version did not have.

        Unset options are left out, so that an id made from a declaration stays as it is.
        """
        window = self.window or Window()
        options: list[tuple[str, JsonValue]] = [
            ("num_history_messages", window.messages),
            ("max_tool_calls_from_history", window.tool_calls),
            ("add_session_state_to_context", self.shows_state or None),
            ("add_session_summary_to_context", self.shows_summary or None),
        ]
        return [[name, value] for name, value in options if value is not None]

    def instructions_with(
        self, state: Mapping[str, JsonValue], summary: str | None = None
    ) -> str | None:
        """Return the instructions, with the state's values in place of the names in braces."""
        parts = [] if self.instructions is None else [_filled(self.instructions, state)]
        if self.shows_summary and summary:
            parts.append(f"Summary of the conversation so far:\n{summary}")
        if self.shows_state:
            parts.append(f"The state of this session, as JSON:\n{canonical_json(dict(state))}")
        return "\n\n".join(part for part in parts if part) or self.instructions


def window_of(
    *, is_shown: bool, runs: int, messages: int | None, tool_calls: int | None
) -> Window | None:
    """Return the earlier runs that an agent shows its model.

    Raises:
        InvalidDefinition: they are limited by runs and by messages at once.
    """
    if messages is not None and runs != DEFAULT_RUNS:
        message = (
            f"num_history_runs is {runs!r} and num_history_messages is {messages!r}: give one of "
            "them."
        )
        raise InvalidDefinition(message)
    if not is_shown:
        return None
    return Window(runs if messages is None else None, messages, tool_calls)


def _filled(instructions: str, state: Mapping[str, JsonValue]) -> str:
    def replacement(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None or name not in state:
            return match.group()
        value = state[name]
        return value if isinstance(value, str) else canonical_json(value)

    return _PLACEHOLDER.sub(replacement, instructions)
