"""Components that a model speaks for: its instructions, what it is shown, and its tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypedDict

from pydantic import BaseModel, JsonValue

from kern.components.agents.built_in_tools import built_in_tools
from kern.components.agents.option_checks import (
    join_instructions,
    require_filled,
    require_limit,
    require_list,
    require_model,
    require_number,
    require_optional_text,
    require_schema,
    require_state,
    tools_by_name,
)
from kern.components.agents.turn_policy import TurnPolicy
from kern.components.component import Definition, definition_of, weakly
from kern.components.runnable import Runnable
from kern.context.instructions import DEFAULT_RUNS, Context, window_of
from kern.contracts.database import Database
from kern.models.base import Model, OutputSpec
from kern.run import RunOutput
from kern.tools.gates import tool_declaration
from kern.tools.signature import schema_of
from kern.tools.tool import Function, Tool, as_tool, tool_definition
from kern.values.validation import require_bools

# Few runs need as many, and one that goes round in circles is noticed before it costs much.
DEFAULT_MODEL_CALLS = 100


class ModelOptions(TypedDict, total=False):
    """The options that agents and teams share; `Agent` documents them."""

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
    model_call_limit: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelDefinition(Definition):
    """What Kern itself reads of an agent or a team.

    Attributes:
        context: What the model is shown of its session.
        turn_policy: How the component leads its model through a run.
    """

    context: Context
    turn_policy: TurnPolicy = field(default_factory=TurnPolicy)

    @cached_property
    def output(self) -> OutputSpec | None:
        """The shape that the answer must have, as the model sees it."""
        if self.output_schema is None:
            return None
        return OutputSpec(
            name=self.output_schema.__name__, json_schema=schema_of(self.output_schema)
        )


class ModelComponent(Runnable):
    """An agent, or a team, which its leader's model speaks for."""

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
        model_call_limit: int | None = DEFAULT_MODEL_CALLS,
    ) -> None:
        require_bools(
            add_history_to_context=add_history_to_context,
            read_chat_history=read_chat_history,
            search_past_sessions=search_past_sessions,
            add_session_state_to_context=add_session_state_to_context,
            enable_agentic_state=enable_agentic_state,
            enable_session_summaries=enable_session_summaries,
            add_session_summary_to_context=add_session_summary_to_context,
        )
        self.model = require_model(model)
        self.role = require_optional_text("role", role)
        self.instructions = join_instructions(instructions)
        built_in = built_in_tools(
            reads_history=read_chat_history,
            searches=search_past_sessions,
            changes_state=enable_agentic_state,
        )
        self.tools = tools_by_name([*map(as_tool, require_list("tools", tools)), *built_in])
        self.output_schema = require_schema(output_schema)
        self.session_state = require_state(session_state)
        self.add_history_to_context = add_history_to_context
        self.num_history_runs = require_number("num_history_runs", num_history_runs)
        self.num_history_messages = require_limit("num_history_messages", num_history_messages)
        most_calls = require_limit("max_tool_calls_from_history", max_tool_calls_from_history)
        limits = {"messages": num_history_messages, "tool_calls": most_calls}
        window = window_of(is_shown=add_history_to_context, runs=num_history_runs, **limits)
        shows = add_session_state_to_context, add_session_summary_to_context
        self._context = Context(self.instructions, window, *shows)
        self.enable_session_summaries = enable_session_summaries
        self.tool_call_limit = require_limit("tool_call_limit", tool_call_limit)
        self.model_call_limit = require_limit("model_call_limit", model_call_limit, least=1)
        require_filled(id=id, name=name)
        super().__init__(id, name, db, prefix="agent")

    def _define(self) -> ModelDefinition:
        """Return the definition of the model alone; teams add their members to it."""
        tools = (tool_definition(tool).code for tool in self.tools.values())
        return ModelDefinition(
            kind="agent",
            declare=weakly(self._declare),
            code=(*tools, type(self.model), *self.model.declared),
            session_state=self.session_state,
            output_schema=self.output_schema,
            context=self._context,
        )

    def _declare(self) -> JsonValue:
        tools: list[JsonValue] = [tool_declaration(tool) for tool in self.tools.values()]
        output = definition_of(self).output
        declaration: list[JsonValue] = [
            type(self.model).__name__,
            self.model.id,
            self.instructions,
            tools,
            output.model_dump(mode="json") if output else None,
            self.session_state,
            self.num_history_runs if self.add_history_to_context else 0,
            self.tool_call_limit,
            *self._context.declaration,
            *(["enable_session_summaries"] if self.enable_session_summaries else []),
        ]
        if self.model_call_limit != DEFAULT_MODEL_CALLS:
            declaration.append(["model_call_limit", self.model_call_limit])
        if self.role is not None:
            declaration.append(["role", self.role])
        return declaration

    def _cast_output(self, output: RunOutput) -> RunOutput:
        """Return the output with its content as an instance of `output_schema`."""
        if self.output_schema is None or not isinstance(output.content, str):
            return output
        content = self.output_schema.model_validate_json(output.content)
        return output.model_copy(
            update={"content": content, "content_type": self.output_schema.__name__}
        )
