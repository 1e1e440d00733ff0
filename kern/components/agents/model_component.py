"""Components for which a model speaks: what it is told, shown, and may call."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from pydantic import BaseModel, JsonValue

from kern.components.agents.built_in_tools import built_in_tools
from kern.components.agents.option_checks import (
    a_list,
    a_model,
    a_schema,
    a_state,
    a_text,
    by_name,
    limit,
    not_empty,
    not_negative,
    paragraphs,
)
from kern.components.agents.turn_policy import Conduct
from kern.components.component import slug
from kern.components.runnable import Runnable
from kern.context.instructions import DEFAULT_RUNS, Context, window_of
from kern.contracts.database import Database
from kern.models.base import Model, OutputSpec
from kern.run import RunOutput
from kern.tools.gates import declared
from kern.tools.signature import schema_of
from kern.tools.tool import Function, Tool, as_tool
from kern.values.canonical import digest
from kern.values.validation import truths


class ModelOptions(TypedDict, total=False):
    """What agents and teams may be given alike; `Agent` says what each means."""

    id: str | None
    name: str | None
    role: str | None
    instructions: str | Sequence[str] | None
    output_schema: type[BaseModel] | None
    session_state: Mapping[str, JsonValue] | None
    db: Database | None
    add_history_to_context: bool
    num_history_runs: int
    num_history_messages: int | None
    max_tool_calls_from_history: int | None
    read_chat_history: bool
    search_past_sessions: bool
    add_session_state_to_context: bool
    enable_agentic_state: bool
    enable_session_summaries: bool
    add_session_summary_to_context: bool
    tool_call_limit: int | None


class ModelComponent(Runnable):
    """An agent, or a team, for which its leader speaks."""

    def __init__(
        self,
        *,
        model: Model,
        id: str | None = None,
        name: str | None = None,
        role: str | None = None,
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
        truths(
            add_history_to_context=add_history_to_context,
            read_chat_history=read_chat_history,
            search_past_sessions=search_past_sessions,
            add_session_state_to_context=add_session_state_to_context,
            enable_agentic_state=enable_agentic_state,
            enable_session_summaries=enable_session_summaries,
            add_session_summary_to_context=add_session_summary_to_context,
        )
        self.model = a_model(model)
        self.role = a_text("role", role)
        self.instructions = paragraphs(instructions)
        built_in = built_in_tools(
            reads_history=read_chat_history,
            searches=search_past_sessions,
            changes_state=enable_agentic_state,
        )
        self.tools = by_name([*map(as_tool, a_list("tools", tools)), *built_in])
        self.output_schema = a_schema(output_schema)
        self.session_state = a_state(session_state)
        self.add_history_to_context = add_history_to_context
        self.num_history_runs = not_negative("num_history_runs", num_history_runs)
        self.num_history_messages = limit("num_history_messages", num_history_messages)
        window = window_of(
            shown=add_history_to_context,
            runs=num_history_runs,
            messages=num_history_messages,
            tool_calls=limit("max_tool_calls_from_history", max_tool_calls_from_history),
        )
        shows = add_session_state_to_context, add_session_summary_to_context
        self.context = Context(self.instructions, window, *shows)
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
        if self.role is not None:
            declaration.append(["role", self.role])
        return digest(declaration)

    @property
    def code(self) -> tuple[object, ...]:
        """That of the tools, and how the model is reached."""
        tools = (tool.code for tool in self.tools.values())
        return (*tools, type(self.model), *self.model.declared)

    @property
    def conduct(self) -> Conduct:
        """How a run of it goes."""
        return Conduct()

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
