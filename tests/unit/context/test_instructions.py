"""What a model is shown of its session: instructions filled from the state, and the state."""

import pytest
from pydantic import JsonValue

from kern.agent import Agent
from kern.components.component import definition_of
from kern.context.history_window import Window
from kern.context.instructions import Context
from kern.errors import InvalidDefinition
from kern.models.scripted import ScriptedModel

STATE: dict[str, JsonValue] = {
    "name": "Ann",
    "n": 2,
    "tags": ["a"],
    "größe": 7,
    "nested": "{name}",
    "a b": 1,
}


@pytest.mark.parametrize(
    ("instructions", "told"),
    [
        ("Talk to {name}.", "Talk to Ann."),
        ("{name}{n}", "Ann2"),
        ("Tags: {tags}", 'Tags: ["a"]'),
        ("{größe}", "7"),
        ("{unknown} {user_id}", "{unknown} {user_id}"),
        ('Answer {"name": "x", "n": {}}', 'Answer {"name": "x", "n": {}}'),
        ('Answer {"name": {n}}', 'Answer {"name": 2}'),
        ("{{name}}", "{{name}}"),
        ("{name.first} {tags[0]} { name } {a b} {n!r}", None),
        ("{nested}", "{name}"),
        ("", ""),
        (None, None),
    ],
)
def test_names_in_braces_are_filled_from_the_state(
    instructions: str | None, told: str | None
) -> None:
    expected = instructions if told is None else told
    assert Context(instructions).instructions_with(STATE) == expected


def test_the_state_is_shown_as_json() -> None:
    shown = "The state of this session, as JSON:\n"
    assert (
        Context("Help.", shows_state=True).instructions_with({"b": 1})
        == f'Help.\n\n{shown}{{"b":1}}'
    )
    assert Context(None, shows_state=True).instructions_with({}) == f"{shown}{{}}"


@pytest.mark.parametrize(
    ("context", "reads"),
    [
        (Context(None), False),
        (Context("Help."), False),
        (Context('{"a": 1} {{name}}'), False),
        (Context("{name}"), True),
        (Context(None, shows_state=True), True),
    ],
)
def test_the_state_is_read_only_where_it_is_shown(context: Context, *, reads: bool) -> None:
    assert context.reads_session is reads


def agent(**options: object) -> Agent:
    return Agent(id="a", model=ScriptedModel(["."]), **options)  # type: ignore[arg-type]


def test_history_is_shown_only_when_it_is_asked_for() -> None:
    assert definition_of(agent(num_history_messages=5)).context.window is None
    shown = agent(add_history_to_context=True)
    assert definition_of(shown).context.window == Window(runs=3)


def test_history_is_counted_in_runs_or_in_messages() -> None:
    counted = agent(add_history_to_context=True, num_history_messages=5)
    assert definition_of(counted).context.window == Window(messages=5)
    with pytest.raises(InvalidDefinition, match="num_history_runs is 2 and num_history_messages"):
        agent(num_history_runs=2, num_history_messages=5)


@pytest.mark.parametrize("limit", ["num_history_messages", "max_tool_calls_from_history"])
def test_negative_limits_are_refused(limit: str) -> None:
    with pytest.raises(InvalidDefinition, match=f"{limit} is -1"):
        agent(**{limit: -1})


@pytest.mark.parametrize(
    "other",
    [
        {"num_history_messages": 5},
        {"max_tool_calls_from_history": 1},
        {"read_chat_history": True},
        {"search_past_sessions": True},
        {"add_session_state_to_context": True},
        {"enable_agentic_state": True},
    ],
)
def test_what_a_model_is_shown_is_part_of_the_declaration(other: dict[str, object]) -> None:
    plain = agent(add_history_to_context=True)
    changed = agent(add_history_to_context=True, **other)
    assert definition_of(changed).fingerprint != definition_of(plain).fingerprint


def test_a_tool_cannot_take_the_name_of_one_that_comes_with_kern() -> None:
    def update_session_state() -> None:
        """Update."""

    with pytest.raises(InvalidDefinition, match="Two tools have the name 'update_session_state'"):
        agent(tools=[update_session_state], enable_agentic_state=True)
