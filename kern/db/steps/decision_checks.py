"""Checks that a step continues as people decided, by the log of decisions and not by the rows."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.decisions.approval_checks import is_as_approved
from kern.db.decisions.requirements import requirements_of_call
from kern.db.decisions.verdicts import chosen_text, happened_text
from kern.db.engine.plain_rows import rows
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.engine.step_records import StepRecord
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.db.engine.unit_of_work import save
from kern.db.journal.audit_chain import decisions_of, is_intact
from kern.db.journal.votes import supporters
from kern.db.reading.run_outputs import effective_arguments
from kern.db.runs import lifecycle
from kern.db.runs.frames import StoredFrames
from kern.db.steps.inputs import shown_before
from kern.pipeline.frames import Phase
from kern.pipeline.nodes import RESERVED, Node
from kern.values.canonical import arguments_digest, digest, parse_json
from kern.values.principals import KERN
from kern.values.states import RequirementKind, ToolOutcome, Verdict

_calls = TOOL_CALLS.table
_GATES = (
    _calls.select()
    .where(_calls.c.step_id == bindparam("step_id"), _calls.c.gate == bindparam("gate"))
    .order_by(_calls.c.position)
)
_REFUSING = frozenset({Verdict.reject.value, Verdict.fail.value})
_ALLOWING = frozenset({Verdict.approve.value, Verdict.answer.value})
_CHANGED = "arguments_changed"


def is_as_decided(
    frames: StoredFrames, call: ToolCallRecord, requirements: Sequence[RequirementRecord]
) -> bool:
    """Whether the rows of the last requirement agree with its decision in the log.

    A refusal lets nothing begin, so its arguments need not agree.
    """
    row = requirements[-1]
    log = decisions_of(frames.tx, row.id)
    last = next(reversed(log), None)
    if last is None or any(not is_intact(decision) for decision in log):
        return False
    stated = (row.kind, row.verdict, row.resolved_by, row.resolved_note)
    if stated != (last.kind, last.verdict, last.actor, last.note):
        return False
    if last.verdict in _REFUSING:
        return True
    if last.verdict in _ALLOWING:
        return is_as_approved(frames.tx, call, requirements)
    frozen = arguments_digest(call.name, call.arguments)
    is_frozen = frozen == call.digest == last.digest
    if last.verdict != Verdict.choose.value or not is_frozen:
        return is_frozen
    return call.result == chosen_text(row, last.given) and len(supporters(log, last)) >= row.quorum


def matches_shown_arguments(
    frames: StoredFrames, frame: StepRecord, call: ToolCallRecord, verdict: Verdict
) -> bool:
    """Whether a frame would continue with what the person saw who approved it."""
    match Phase(frame.phase), verdict:
        case ((Phase.gate | Phase.review), Verdict.approve) if call.approved_arguments is not None:
            return True
        case Phase.gate, (Verdict.approve | Verdict.answer | Verdict.choose):
            return _is_same(dict(call.arguments), _visible_now(frames, frame, call))
        case Phase.review, Verdict.approve:
            return _is_same(dict(call.arguments), {"output": frames.content(frame)})
        case _:
            return True


def matches_decided_outcome(frames: StoredFrames, call: ToolCallRecord) -> bool:
    """Whether a call whose outcome was unknown has the outcome that was decided."""
    requirements = requirements_of_call(frames.tx, call.id)
    last = (
        next(reversed(decisions_of(frames.tx, requirements[-1].id)), None) if requirements else None
    )
    if last is None or last.kind != RequirementKind.unknown_outcome.value:
        return True
    if not is_as_decided(frames, call, requirements):
        return False
    if last.verdict in _REFUSING:
        return call.outcome != ToolOutcome.result.value
    if last.verdict != Verdict.happened.value or last.actor == KERN:
        # The result is an attempt's: one that a person had executed again, or that reported late.
        return True
    return call.result == happened_text(last.given)


def may_begin(frames: StoredFrames, frame: StepRecord) -> bool:
    """Whether a frame and its containers begin as people approved; else the run fails."""
    if not _is_gated(frames, frame) or (
        matches_approved_input(frames, frame)
        and all(_begins_as_approved(frames, ancestor) for ancestor in (frame, *frames.above(frame)))
    ):
        return True
    refuse(frames, f"Step {frame.name!r} ({frame.id!r}) would begin with something other than")
    return False


def refuse(frames: StoredFrames, problem: str) -> None:
    """Fail a run in which something differs from what was decided; `problem` says what."""
    message = f"{problem} what was decided: somebody changed the rows. Nothing was executed."
    lifecycle.fail(frames.tx, frames.run, _CHANGED, message, frames.now)


def matches_approved_input(frames: StoredFrames, frame: StepRecord) -> bool:
    """Whether a step's call has the arguments that a person approved, if it is gated."""
    call = lifecycle.hold_call(frames.tx, frame.call_id)
    if call is None or frames.shape.by_id[frame.node].gate is None or frame.is_ungated:
        return True
    gate_call = _gate_call(frames, frame)
    if gate_call is None:
        return False
    approved = effective_arguments(gate_call)
    values = call.arguments.get("values")
    current_values = {
        **(values if isinstance(values, dict) else {}),
        **_taken_arguments(call.arguments),
    }
    return _is_same({name: current_values.get(name) for name in approved}, approved)


def has_passed_gate(frames: StoredFrames, frame: StepRecord) -> bool:
    """Whether a person approved that a frame begins, if it is gated."""
    is_gated = frames.shape.by_id[frame.node].gate is not None
    return not is_gated or _gate_call(frames, frame) is not None


def _is_gated(frames: StoredFrames, frame: StepRecord) -> bool:
    """Whether a frame or one of its containers is gated, by the pinned shape alone."""
    node: Node | None = frames.shape.by_id[frame.node]
    while node is not None:
        if node.gate is not None:
            return True
        node = None if node.parent is None else frames.shape.by_id[node.parent]
    return False


def _begins_as_approved(frames: StoredFrames, frame: StepRecord) -> bool:
    node = frames.shape.by_id[frame.node]
    if node.gate is None or frame.is_ungated:
        return True
    if node.gate.choices:
        return _takes_chosen_routes(frames, frame, node)
    gate_call = _gate_call(frames, frame)
    if gate_call is None:
        return False
    current = {**(frame.values or {}), **_visible_now(frames, frame, gate_call)}
    return _is_same(current, effective_arguments(gate_call))


def _takes_chosen_routes(frames: StoredFrames, frame: StepRecord, node: Node) -> bool:
    call = next(reversed(_gates(frames, frame)), None)
    requirements = [] if call is None else requirements_of_call(frames.tx, call.id)
    if call is None or not requirements or not is_as_decided(frames, call, requirements):
        return False
    names = [frames.shape.by_id[child].name for child in node.children]
    routes = [names[place] for place in frame.chosen or [] if place in range(len(names))]
    is_same = _is_same(dict(call.arguments), _visible_now(frames, frame, call))
    return is_same and routes == routes_of(call, multiple=requirements[-1].multiple)


def routes_of(call: ToolCallRecord, *, multiple: bool) -> list[str]:
    """Return the routes that a person chose."""
    chosen_routes = parse_json(call.result or "null")
    routes = chosen_routes if multiple and isinstance(chosen_routes, list) else [chosen_routes]
    return [str(route) for route in routes]


def _gate_call(frames: StoredFrames, frame: StepRecord) -> ToolCallRecord | None:
    """Return the call of the last gate that was approved, according to the log too."""
    calls = reversed(_gates(frames, frame))
    return next((call for call in calls if _let_pass(frames.tx, call)), None)


def _gates(frames: StoredFrames, frame: StepRecord) -> list[ToolCallRecord]:
    gate = frames.shape.by_id[frame.node].gate
    if gate is None:
        return []
    save(frames.tx)
    return list(rows(frames.tx, TOOL_CALLS, _GATES, step_id=frame.id, gate=gate.kind.value))


def _let_pass(tx: Session, call: ToolCallRecord) -> bool:
    is_yes = call.outcome == ToolOutcome.result.value
    return is_yes and is_as_approved(tx, call, requirements_of_call(tx, call.id))


def _visible_now(
    frames: StoredFrames, frame: StepRecord, question: ToolCallRecord
) -> dict[str, JsonValue]:
    """Return what a person would see of a frame now, of the names that the question had."""
    visible = shown_before(frames, frame)
    return {name: value for name, value in visible.items() if name in question.arguments}


def _taken_arguments(arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in arguments.items() if name in RESERVED}


def _is_same(value: JsonValue, expected: JsonValue) -> bool:
    # To Python 1 equals True, and to JSON it does not.
    return digest(value) == digest(expected)
