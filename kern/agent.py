"""Agents: a model, what it is told, and the tools that it may call."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, JsonValue

from kern.built_in_tools import built_in_tools
from kern.canonical import digest
from kern.component import slug
from kern.context import DEFAULT_RUNS, Context, window_of
from kern.db.engine import Database
from kern.definitions import a_model, by_name, limit, not_empty, not_negative, paragraphs
from kern.gates import declared
from kern.models.base import Model, OutputSpec
from kern.run import RunOutput
from kern.runnable import Runnable
from kern.tool_schema import schema_of
from kern.tools import Function, Tool, as_tool


class Agent(Runnable):
    """A model with instructions and tools, whose runs are durable and wait for people.

    An agent holds no conversation: it may be shared by threads, users and processes. Every method
    has an async twin whose name begins with `a`.

    Args:
        id: Under which runs find this agent's code again, in this and in later processes. Default:
            made from `name`, or from the declaration itself if there is no name.
        name: What people call it.
        model: Who answers.
        instructions: What the model is told before the conversation; several become paragraphs.
            A name in braces stands for the value of that key of the session's state, if there is
            one.
        tools: What the model may call: tools, or plain functions, which have no gates.
        output_schema: A pydantic model that the answer must fit; `RunOutput.content` is then an
            instance of it.
        session_state: The state with which a new session begins.
        db: Where runs are kept; default: the runtime's database.
        add_history_to_context: Whether the model sees earlier runs of the session: completed ones,
            and a line for each that is paused.
        num_history_runs: How many completed runs, at most.
        num_history_messages: How many messages of them, at most, instead.
        max_tool_calls_from_history: How many tool calls of earlier runs are shown, the latest ones.
        read_chat_history: Whether the model has a tool that reads the session beyond that.
        search_past_sessions: Whether the model has a tool that searches the user's other sessions
            with this agent; without a `user_id` it searches the session itself.
        add_session_state_to_context: Whether the model sees the session's state, as it stands at
            each turn.
        enable_agentic_state: Whether the model has a tool that changes the session's state.
        enable_session_summaries: Whether the model sums up the session after each run that ended
            with an answer. Nobody waits for it, and a run does not fail with it.
        add_session_summary_to_context: Whether the model sees that summary.
        tool_call_limit: How many tool calls one run may make; further ones are answered with an
            error.

    Raises:
        InvalidDefinition: two tools have one name, or a value makes no sense.
    """

    kind: ClassVar[str] = "agent"

    def __init__(
        self,
        *,
        model: Model,
        id: str | None = None,
        name: str | None = None,
        instructions: str | Sequence[str] | None = None,
        tools: Sequence[Tool | Function] = (),
        output_schema: type[BaseModel] | None = None,
        session_state: Mapping[str, JsonValue] | None = None,
        db: Database | None = None,
        add_history_to_context: bool = False,
        num_history_runs: int = DEFAULT_RUNS,
        num_history_messages: int | None = None,
        max_tool_calls_from_history: int | None = None,
        read_chat_history: bool = False,
        search_past_sessions: bool = False,
        add_session_state_to_context: bool = False,
        enable_agentic_state: bool = False,
        enable_session_summaries: bool = False,
        add_session_summary_to_context: bool = False,
        tool_call_limit: int | None = None,
    ) -> None:
        self.model = a_model(model)
        self.instructions = paragraphs(instructions)
        built_in = built_in_tools(
            reads_history=read_chat_history,
            searches=search_past_sessions,
            changes_state=enable_agentic_state,
        )
        self.tools = by_name([*(as_tool(candidate) for candidate in tools), *built_in])
        self.output_schema = output_schema
        self.session_state = dict(session_state or {})
        self.add_history_to_context = add_history_to_context
        self.num_history_runs = not_negative("num_history_runs", num_history_runs)
        self.num_history_messages = limit("num_history_messages", num_history_messages)
        window = window_of(
            shown=add_history_to_context,
            runs=num_history_runs,
            messages=num_history_messages,
            tool_calls=limit("max_tool_calls_from_history", max_tool_calls_from_history),
        )
        self.context = Context(
            self.instructions, window, add_session_state_to_context, add_session_summary_to_context
        )
        self.enable_session_summaries = enable_session_summaries
        self.tool_call_limit = limit("tool_call_limit", tool_call_limit)
        not_empty(id=id, name=name)
        given = id or (slug(name) if name else f"agent-{self.fingerprint[:12]}")
        super().__init__(given, name or given, db)

    @property
    def fingerprint(self) -> str:
        """A digest of the declaration: two agents with the same one do the same."""
        tools: list[JsonValue] = [declared(tool) for tool in self.tools.values()]
        output = self.output.model_dump(mode="json") if self.output else None
        declaration: list[JsonValue] = [
            type(self.model).__name__,
            self.model.id,
            self.instructions,
            tools,
            output,
            self.session_state,
            self.num_history_runs if self.add_history_to_context else 0,
            self.tool_call_limit,
            *self.context.declared,
            *(["enable_session_summaries"] if self.enable_session_summaries else []),
        ]
        return digest(declaration)

    @property
    def initial_state(self) -> dict[str, JsonValue]:
        """The state with which a new session begins."""
        return dict(self.session_state)

    @property
    def output(self) -> OutputSpec | None:
        """The shape that the answer must have, as the model is told."""
        if self.output_schema is None:
            return None
        return OutputSpec(
            name=self.output_schema.__name__, json_schema=schema_of(self.output_schema)
        )

    def _typed(self, output: RunOutput) -> RunOutput:
        """Return the output with its content as an instance of `output_schema`."""
        if self.output_schema is None or not isinstance(output.content, str):
            return output
        content = self.output_schema.model_validate_json(output.content)
        return output.model_copy(
            update={"content": content, "content_type": self.output_schema.__name__}
        )
