"""Whether what people are said to have decided about steps is what the chain of decisions holds."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern.db.decisions.approval_checks import is_as_approved
from kern.db.decisions.requirements import asked_about
from kern.db.decisions.verdicts import chosen_text, happened_text
from kern.db.engine.plain_rows import rows, table_of
from kern.db.engine.step_tables import StepRow
from kern.db.engine.tables import RequirementRow, ToolCallRow
from kern.db.engine.unit_of_work import save
from kern.db.journal.audit_chain import KERN, decisions_of, hash_of
from kern.db.reading.run_outputs import runs_with
from kern.db.runs import lifecycle
from kern.db.runs.frames import StoredFrames
from kern.db.steps.inputs import shown_before
from kern.pipeline.frames import Phase
from kern.pipeline.nodes import RESERVED, Node
from kern.values.canonical import arguments_digest, digest, parse_json
from kern.values.states import RequirementKind, ToolOutcome, Verdict

_calls = table_of(ToolCallRow)
_GATES = (
    _calls.select()
    .where(_calls.c.step_id == bindparam("step_id"), _calls.c.gate == bindparam("gate"))
    .order_by(_calls.c.position)
)
_REFUSING = frozenset({Verdict.reject.value, Verdict.fail.value})
_ALLOWING = frozenset({Verdict.approve.value, Verdict.answer.value})
_CHANGED = "arguments_changed"


def is_as_decided(frames: StoredFrames, call: ToolCallRow, asked: Sequence[RequirementRow]) -> bool:
    """Whether what the rows say of the last question is what was decided about it.

    What lets nothing begin needs no arguments to agree on.
    """
    row = asked[-1]
    last = next(reversed(decisions_of(frames.tx, row.id)), None)
    if last is None or last.hash != hash_of(last):
        return False
    said = (row.kind, row.verdict, row.resolved_by, row.resolved_note)
    if said != (last.kind, last.verdict, last.actor, last.note):
        return False
    if last.verdict in _REFUSING:
        return True
    if last.verdict in _ALLOWING:
        return is_as_approved(frames.tx, call, asked)
    frozen = arguments_digest(call.name, call.arguments)
    if not frozen == call.digest == last.digest:
        return False
    chose = last.verdict == Verdict.choose.value
    return not chose or call.result == chosen_text(row, last.given)


def is_what_was_shown(
    frames: StoredFrames, frame: StepRow, call: ToolCallRow, verdict: Verdict
) -> bool:
    """Whether a frame would go on with what the person saw, who let it."""
    match Phase(frame.phase), verdict:
        case ((Phase.gate | Phase.review), Verdict.approve) if call.approved_arguments is not None:
            return True
        case Phase.gate, (Verdict.approve | Verdict.answer | Verdict.choose):
            return _is_same(call.arguments, _seen(frames, frame, call))
        case Phase.review, Verdict.approve:
            return _is_same(call.arguments, {"output": frames.content(frame)})
        case _:
            return True


def is_what_became(frames: StoredFrames, call: ToolCallRow) -> bool:
    """Whether a call that is done came to what somebody said of it, if its outcome was unknown."""
    asked = asked_about(frames.tx, call.id)
    last = next(reversed(decisions_of(frames.tx, asked[-1].id)), None) if asked else None
    if last is None or last.kind != RequirementKind.unknown_outcome.value:
        return True
    if not is_as_decided(frames, call, asked):
        return False
    if last.verdict in _REFUSING:
        return call.outcome != ToolOutcome.result.value
    if last.verdict != Verdict.happened.value or last.actor == KERN:
        # Its own attempt came to it.
        return True
    return call.result == happened_text(last.given)


def may_begin(frames: StoredFrames, frame: StepRow) -> bool:
    """Whether a frame, and all that hold it, go by what people let pass; else its run fails."""
    if not _is_gated(frames, frame) or (
        is_what_passed(frames, frame)
        and all(_begins_as_passed(frames, one) for one in (frame, *frames.above(frame)))
    ):
        return True
    refuse(frames, f"The step {frame.name!r} ({frame.id!r}) would begin with something else")
    return False


def refuse(frames: StoredFrames, what: str) -> None:
    """Fail a run in which something is not as it was approved."""
    message = f"{what} than what people decided: somebody changed the rows. Nothing was executed."
    lifecycle.fail(frames.tx, frames.run, _CHANGED, message, frames.now)


def is_what_passed(frames: StoredFrames, frame: StepRow) -> bool:
    """Whether a step's call is of what a person let pass, if one was asked."""
    call = lifecycle.hold_call(frames.tx, frame.call_id)
    if call is None or frames.shape.by_id[frame.node].gate is None:
        return True
    passed = _passed(frames, frame)
    if passed is None:
        return False
    begun_with = runs_with(passed)
    given = call.arguments.get("values")
    own = {**(given if isinstance(given, dict) else {}), **_taken(call.arguments)}
    return _is_same({name: own.get(name) for name in begun_with}, begun_with)


def has_passed(frames: StoredFrames, frame: StepRow) -> bool:
    """Whether a person let a frame begin, if one was to be asked."""
    is_gated = frames.shape.by_id[frame.node].gate is not None
    return not is_gated or _passed(frames, frame) is not None


def _is_gated(frames: StoredFrames, frame: StepRow) -> bool:
    """Whether a person was to be asked before a frame or one that holds it, by the shape alone."""
    node: Node | None = frames.shape.by_id[frame.node]
    while node is not None:
        if node.gate is not None:
            return True
        node = None if node.parent is None else frames.shape.by_id[node.parent]
    return False


def _begins_as_passed(frames: StoredFrames, frame: StepRow) -> bool:
    node = frames.shape.by_id[frame.node]
    if node.gate is None:
        return True
    if node.gate.choices:
        return _takes_chosen(frames, frame, node)
    passed = _passed(frames, frame)
    if passed is None:
        return False
    begins = {**(frame.values or {}), **_seen(frames, frame, passed)}
    return _is_same(begins, runs_with(passed))


def _takes_chosen(frames: StoredFrames, frame: StepRow, node: Node) -> bool:
    call = next(reversed(_gates(frames, frame)), None)
    asked = [] if call is None else asked_about(frames.tx, call.id)
    if call is None or not asked or not is_as_decided(frames, call, asked):
        return False
    names = [frames.shape.by_id[child].name for child in node.children]
    chosen = [names[place] for place in frame.chosen or [] if place in range(len(names))]
    is_same = _is_same(call.arguments, _seen(frames, frame, call))
    return is_same and chosen == routes_of(call, multiple=asked[-1].multiple)


def routes_of(call: ToolCallRow, *, multiple: bool) -> list[str]:
    """Return the routes that a person chose."""
    told = parse_json(call.result or "null")
    chosen = told if multiple and isinstance(told, list) else [told]
    return [str(one) for one in chosen]


def _passed(frames: StoredFrames, frame: StepRow) -> ToolCallRow | None:
    """Return the last question to which a person said yes, if that is what the chain says too."""
    asked = reversed(_gates(frames, frame))
    return next((one for one in asked if _let_pass(frames.tx, one)), None)


def _gates(frames: StoredFrames, frame: StepRow) -> list[ToolCallRow]:
    gate = frames.shape.by_id[frame.node].gate
    if gate is None:
        return []
    save(frames.tx)
    return list(rows(frames.tx, ToolCallRow, _GATES, step_id=frame.id, gate=gate.kind.value))


def _let_pass(tx: Session, call: ToolCallRow) -> bool:
    is_yes = call.outcome == ToolOutcome.result.value
    return is_yes and is_as_approved(tx, call, asked_about(tx, call.id))


def _seen(frames: StoredFrames, frame: StepRow, asked: ToolCallRow) -> dict[str, JsonValue]:
    """Return what a person would see now of a frame, as far as the question showed it."""
    shown = shown_before(frames, frame)
    return {name: value for name, value in shown.items() if name in asked.arguments}


def _taken(arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in arguments.items() if name in RESERVED}


def _is_same(one: JsonValue, other: JsonValue) -> bool:
    # To Python 1 equals True, and to JSON it does not.
    return digest(one) == digest(other)
