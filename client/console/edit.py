"""The page on which the arguments of a call are edited, within the bounds of its author."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from kern.client.console.addresses import requirement_url
from kern.client.console.decision_form import DecisionForm, Draft, decision_form
from kern.client.console.facts import Facts, arguments_of
from kern.client.console.form_fields import FormField, Posted, as_posted, form_field
from kern.client.console.form_schema import Schema
from kern.client.console.form_values import FieldProblem, read_value, unchanged_text
from kern.client.console.problems import Problem
from kern.client.console.requirement import ArgumentRow, title_of
from kern.requirements import Requirement
from kern.values.canonical import arguments_digest
from kern.values.titles import value_after_edit


@dataclass(frozen=True)
class EditResult:
    """What an edit changes.

    Attributes:
        changes: The arguments that differ, with their new values.
        fields: The controls, with everything that was typed.
        problems: What is wrong with each that does not fit.
    """

    changes: dict[str, JsonValue]
    fields: tuple[FormField, ...]
    problems: tuple[FieldProblem, ...] = ()


@dataclass(frozen=True)
class EditView:
    """What the page of an edit shows.

    Attributes:
        rows: The arguments as they would run beside those under review; None before comparing.
        digest: The digest of what would run.
        form: The form that approves it.
    """

    requirement: Requirement
    facts: Facts
    url: str
    title: str
    form: DecisionForm
    fields: tuple[FormField, ...]
    problems: tuple[FieldProblem, ...] = ()
    rows: list[ArgumentRow] | None = None
    changes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    digest: str = ""
    problem: Problem | None = None


def edit_fields(
    requirement: Requirement, facts: Facts, schema: Schema | None = None
) -> list[FormField]:
    """Return a control for each argument; what may not change is fixed.

    Args:
        requirement: What is edited.
        facts: Its bounds, and the version under review.
        schema: The schema of the tool's arguments, if it is known.
    """
    return [
        _field(name, f"e{number}", value, facts, schema)
        for number, (name, value) in enumerate(arguments_of(requirement, facts).items(), 1)
    ]


def read_edit(
    requirement: Requirement, facts: Facts, posted: Posted, schema: Schema | None = None
) -> EditResult:
    """Read an edit. What nobody touched stays exactly as it is, and what is fixed too."""
    current = arguments_of(requirement, facts)
    changes: dict[str, JsonValue] = {}
    problems: list[FieldProblem] = []
    fields: list[FormField] = []
    for control in edit_fields(requirement, facts, schema):
        value = current[control.argument]
        if control.is_fixed or unchanged_text(control, posted, value):
            fields.append(control)
            continue
        argument_schema = _schema_of(control.argument, value, facts, schema)
        edited, problem = read_value(control, argument_schema, posted, value)
        fields.append(as_posted(control, posted, problem))
        if problem:
            problems.append(FieldProblem(control.id, control.argument, problem))
        elif edited != value or type(edited) is not type(value):
            # What was left out is refused: an argument cannot be removed.
            changes[control.argument] = edited  # type: ignore[assignment]
    return EditResult({} if problems else changes, tuple(fields), tuple(problems))


def edit_view(
    requirement: Requirement,
    viewer_name: str,
    csrf: str,
    decision_id: str,
    *,
    facts: Facts | None = None,
    schema: Schema | None = None,
    result: EditResult | None = None,
    note: str = "",
    problem: Problem | None = None,
) -> EditView:
    """Return what the page of an edit shows: the form, or after `Compare` the difference.

    Args:
        requirement: What is edited.
        viewer_name: Who edits.
        csrf: The token of their session.
        decision_id: A new id for the decision.
        facts: How its author presents it.
        schema: The schema of the tool's arguments.
        result: What was posted; None for a form that is as the call is.
        note: The note that was typed.
        problem: Why the edit was refused.
    """
    facts = facts or Facts()
    url = requirement_url(requirement.id)
    current = arguments_of(requirement, facts)
    edited = current if result is None else {**current, **result.changes}
    form = decision_form(
        requirement,
        replace(facts, confirm_value=value_after_edit(facts.confirm_value, current, edited)),
        url=url,
        csrf=csrf,
        decision_id=decision_id,
        person=viewer_name,
        draft=Draft({"note": [note]}),
    )
    fields = tuple(edit_fields(requirement, facts, schema)) if result is None else result.fields
    view = EditView(
        requirement=requirement,
        facts=facts,
        url=url,
        title=title_of(requirement, facts),
        form=form,
        fields=fields,
        problems=() if result is None else result.problems,
        problem=problem,
    )
    if result is None or not result.changes:
        return view
    rows = [
        ArgumentRow(name, value, current[name], name in result.changes)
        for name, value in edited.items()
    ]
    digest = arguments_digest(requirement.tool_name or "", edited)
    return replace(view, rows=rows, changes=result.changes, digest=digest)


def _field(name: str, id: str, value: JsonValue, facts: Facts, schema: Schema | None) -> FormField:
    control = form_field(
        f"edit.{name}",
        id,
        name,
        _schema_of(name, value, facts, schema),
        required=True,
        value=value,
    )
    return replace(control, is_fixed=facts.bounds is not None and name not in facts.bounds)


def _schema_of(name: str, value: JsonValue, facts: Facts, schema: Schema | None) -> Schema:
    """Return the schema of an argument: the tool's, or that of its value, within the bounds."""
    properties = (schema or {}).get("properties")
    argument_schema_of_tool = properties.get(name) if isinstance(properties, dict) else None
    bounds = (facts.bounds or {}).get(name)
    base: Mapping[str, JsonValue] = (
        argument_schema_of_tool if isinstance(argument_schema_of_tool, dict) else _inferred(value)
    )
    definitions: Schema = {"$defs": schema["$defs"]} if schema and "$defs" in schema else {}
    return {**definitions, **base, **(bounds if isinstance(bounds, dict) else {})}


def _inferred(value: JsonValue) -> Schema:
    match value:
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case _:
            return {}
