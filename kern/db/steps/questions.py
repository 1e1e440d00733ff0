"""What people are asked about steps, and what becomes of a step by what they say."""

from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import bindparam

from kern.contracts.answers import Question
from kern.contracts.approval import Approval
from kern.db.decisions.requirements import asked_about, hold_pending
from kern.db.engine.plain_rows import add_row, new_row, table_of
from kern.db.engine.step_tables import StepRow
from kern.db.engine.tables import RequirementRow, ToolCallRow
from kern.db.engine.unit_of_work import hold_all, save
from kern.db.journal import outbox
from kern.db.journal.events import record
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import runs_with
from kern.db.runs import lifecycle
from kern.db.runs.frames import StoredFrames, path_within
from kern.db.steps.decision_checks import is_as_decided, is_what_was_shown, refuse, routes_of
from kern.db.steps.inputs import shown_before
from kern.db.turns import side_effects
from kern.db.turns.model_turns import open_requirement
from kern.pipeline.frames import Phase
from kern.pipeline.machine import Machine
from kern.pipeline.nodes import RESERVED, Ask
from kern.values.canonical import arguments_digest
from kern.values.ids import new_id
from kern.values.states import (
    Effect,
    OnExpiry,
    RequirementKind,
    RequirementStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)

_calls = table_of(ToolCallRow)
_OPEN_CALLS = _calls.select().where(
    _calls.c.step_id == bindparam("step_id"), _calls.c.status != ToolCallStatus.done.value
)
_AGAIN = "What it has done stays done, and done again it may do that once more:"


def new_call(frames: StoredFrames, frame: StepRow, arguments: dict[str, JsonValue]) -> ToolCallRow:
    """Return a call for a step, with its arguments frozen; it is to be added."""
    node = frames.shape.by_id[frame.node]
    return new_row(
        ToolCallRow,
        id=new_id(),
        run_id=frame.run_id,
        turn=frame.number,
        # Each phase of a step has one.
        position=frame.version,
        provider_call_id="",
        name=frame.name,
        arguments=arguments,
        digest=arguments_digest(frame.name, arguments),
        effect=node.effect.value,
        retries=node.retries,
        timeout=node.timeout,
        step_id=frame.id,
        created_at=frames.now,
    )


def ask(frames: StoredFrames, frame: StepRow) -> None:
    """Open what a person has to say in a frame's phase."""
    frame.version += 1
    asked, arguments = _asked(frames, frame)
    call = new_call(frames, frame, arguments)
    call.gate, call.effect = asked.kind.value, Effect.read.value
    add_row(frames.tx, ToolCallRow, call)
    question = Question(
        kind=asked.kind,
        arguments_schema=_schema(asked, arguments),
        question=_question(frames, frame, asked),
        fields=asked.fields,
        choices=asked.choices,
        multiple=asked.multiple,
        approval=asked.approval,
        where=path_within(frames, frame),
    )
    open_requirement(frames.tx, frames.run, call, question, frames.now)
    frame.gate_id, frame.waits = call.id, True


def hear(frames: StoredFrames, machine: Machine[StepRow], frame: StepRow) -> bool:
    """Let a frame go on with what a person said; False while nobody has.

    What was asked and closed with a run that goes on again is asked anew.
    """
    call = lifecycle.hold_call(frames.tx, frame.gate_id)
    asked = [] if call is None else asked_about(frames.tx, call.id)
    if call is None or not asked or asked[-1].status == RequirementStatus.cancelled.value:
        ask(frames, frame)
        return False
    row = asked[-1]
    if row.status == RequirementStatus.pending.value:
        frame.waits = True
        return False
    verdict = Verdict(row.verdict or Verdict.reject.value)
    shown = is_what_was_shown(frames, frame, call, verdict)
    if not shown or not is_as_decided(frames, call, asked):
        refuse(frames, f"What the step {frame.name!r} (call {call.id!r}) would go by is another")
        return False
    if call.status != ToolCallStatus.done.value:
        lifecycle.finish_call(frames.tx, call, ToolOutcome.result, "", frames.now)
    frame.waits = False
    match Phase(frame.phase):
        case Phase.gate:
            _pass(machine, frame, call, row, verdict)
        case Phase.review:
            _review(machine, frame, call, row, verdict)
        case _:
            _recover(machine, frame, verdict)
    return True


def drop(frames: StoredFrames, frame: StepRow) -> None:
    """Stop what goes on for a frame that was cancelled; a call that executes is let end."""
    tx, run, now = frames.tx, frames.run, frames.now
    frame.waits = False
    for call in hold_all(tx, ToolCallRow, _OPEN_CALLS, step_id=frame.id):
        for row in hold_pending(tx, call.id):
            row.status, row.resolved_at = RequirementStatus.cancelled.value, now
            record(tx, run, "requirement_cancelled", now, requirement_id=row.id)
            # Its workflow waits for it and has to hear that nobody will decide.
            none = timedelta(0)
            outbox.enqueue(tx, run, DeliveryKind.resolved, now, requirement_id=row.id, grace=none)
        if call.child_run_id is not None:
            child = lifecycle.lock(tx, call.child_run_id)
            lifecycle.cancel_inside(tx, child, now)
        if call.status == ToolCallStatus.waiting.value:
            why = "The step was stopped, because one beside it failed."
            lifecycle.finish_call(tx, call, ToolOutcome.cancelled, why, now)


def _asked(frames: StoredFrames, frame: StepRow) -> tuple[Ask, dict[str, JsonValue]]:
    node = frames.shape.by_id[frame.node]
    match Phase(frame.phase):
        case Phase.gate if node.gate is not None:
            return node.gate, shown_before(frames, frame)
        case Phase.review if node.review is not None:
            return node.review, {"output": frames.content(frame)}
        case _:
            approval = node.on_trouble
            if approval.on_expiry is OnExpiry.approve or approval.quorum > 1:
                # Nothing of a failure could be approved.
                told = {"on_expiry": OnExpiry.reject, "quorum": 1}
                approval = Approval.model_validate({**approval.model_dump(), **told})
            asked = Ask(kind=RequirementKind.error, approval=approval, message=frame.error_message)
            return asked, {"error": frame.error_message, "code": frame.error_code}


def _question(frames: StoredFrames, frame: StepRow, asked: Ask) -> str | None:
    """Return what is asked, with what doing the frame again would do once more."""
    if Phase(frame.phase) is Phase.gate:
        return asked.message
    save(frames.tx)
    did = side_effects.done_in_step(frames.tx, frame.id)
    warning = f"{_AGAIN} {', '.join(did)}." if did else None
    return "\n".join(filter(None, (asked.message, warning))) or None


def _schema(asked: Ask, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Say what may stand in the place of what was frozen: anything, but for an item."""
    properties: dict[str, JsonValue] = {
        name: {"const": value} if name == "item" else {} for name, value in arguments.items()
    }
    properties |= {field.name: field.json_schema for field in asked.fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _pass(
    machine: Machine[StepRow],
    frame: StepRow,
    call: ToolCallRow,
    row: RequirementRow,
    verdict: Verdict,
) -> None:
    begins_with = runs_with(call)
    match verdict:
        case Verdict.approve:
            if call.approved_arguments is not None:
                machine.edited(frame, begins_with.get("input"))
            machine.passed(frame)
        case Verdict.answer:
            values = {name: value for name, value in begins_with.items() if name not in RESERVED}
            machine.passed(frame, values)
        case Verdict.choose:
            machine.passed(frame, routes=routes_of(call, multiple=row.multiple))
        case Verdict.fail:
            machine.failed(frame, "decided_to_fail", _said(row, "ended"), final=True)
        case _:
            machine.refused(frame, _said(row, "rejected"))


def _review(
    machine: Machine[StepRow],
    frame: StepRow,
    call: ToolCallRow,
    row: RequirementRow,
    verdict: Verdict,
) -> None:
    match verdict:
        case Verdict.approve if call.approved_arguments is not None:
            machine.replaced(frame, call.approved_arguments.get("output"))
        case Verdict.approve:
            machine.approved(frame)
        case Verdict.fail:
            machine.failed(frame, "decided_to_fail", _said(row, "ended"), final=True)
        case _:
            silent = row.status == RequirementStatus.expired.value
            message = _said(row, "rejected what came of")
            machine.disapproved(frame, row.resolved_note or "", message, silent=silent)


def _recover(machine: Machine[StepRow], frame: StepRow, verdict: Verdict) -> None:
    match verdict:
        case Verdict.run_again:
            machine.again(frame)
        case Verdict.skip:
            machine.skipped(frame)
        case _:
            code, message = frame.error_code or "error", frame.error_message or ""
            machine.failed(frame, code, message, final=True)


def _said(row: RequirementRow, did: str) -> str:
    note = f" Their note: {row.resolved_note}" if row.resolved_note else ""
    return f"{row.resolved_by!r} {did} the step {row.tool_name!r}.{note}"
