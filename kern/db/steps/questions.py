"""Requirements about steps: opening them, and continuing a step with the decision."""

from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import bindparam

from kern.contracts.answers import Question
from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation
from kern.db.decisions.opening import open_requirement
from kern.db.decisions.reminders import gate_id_of
from kern.db.decisions.requirements import hold_pending, requirements_of_call
from kern.db.engine.mutable_rows import MutableStep, MutableToolCall
from kern.db.engine.plain_rows import add_row, new_row
from kern.db.engine.records import RequirementRecord, ToolCallRecord
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.db.engine.unit_of_work import hold_all, save
from kern.db.journal import outbox
from kern.db.journal.outbox import DeliveryKind
from kern.db.reading.run_outputs import effective_arguments
from kern.db.runs import closing, lifecycle
from kern.db.runs.frames import StoredFrames, path_within
from kern.db.runs.idempotency import new_key
from kern.db.steps.decision_checks import is_as_decided, matches_shown_arguments, refuse, routes_of
from kern.db.steps.inputs import shown_before
from kern.db.turns import side_effects
from kern.pipeline.frames import Phase
from kern.pipeline.machine import Machine
from kern.pipeline.nodes import RESERVED, Ask, Node
from kern.values.canonical import arguments_digest
from kern.values.ids import new_id
from kern.values.principals import KERN
from kern.values.states import (
    Effect,
    OnExpiry,
    RequirementKind,
    RequirementStatus,
    ToolCallStatus,
    ToolOutcome,
    Verdict,
)

_calls = TOOL_CALLS.table
_OPEN_CALLS = _calls.select().where(
    _calls.c.step_id == bindparam("step_id"), _calls.c.status != ToolCallStatus.done.value
)
_AGAIN = "These side effects cannot be undone and may be repeated: {}."
_REJECTS = "reject() does not do it again: run_again() would, and would repeat {}."


def new_call(
    frames: StoredFrames, frame: MutableStep, arguments: dict[str, JsonValue]
) -> MutableToolCall:
    """Return a new call for a step, with its arguments frozen; the caller adds it."""
    node = frames.shape.by_id[frame.node]
    frozen = arguments_digest(frame.name, arguments)
    is_first = frame.started_at is None and not frame.is_repeated
    return new_row(
        TOOL_CALLS,
        id=new_id(),
        run_id=frame.run_id,
        turn=frame.number,
        # One call for each phase of a step.
        position=frame.version,
        provider_call_id="",
        name=frame.name,
        arguments=arguments,
        digest=frozen,
        idempotency_key=new_key(frames.tx, frames.run, [frame.path_key], frozen, is_first=is_first),
        effect=node.effect.value,
        retries=node.retries,
        timeout=node.timeout,
        has_reconciler=node.reconciles,
        step_id=frame.id,
        created_at=frames.now,
    )


def ask(frames: StoredFrames, frame: MutableStep) -> None:
    """Open the requirement of a frame's phase."""
    frame.version += 1
    if frame.phase == Phase.gate.value:
        frame.is_ungated = None
    spec, arguments = _ask_of_phase(frames, frame)
    call = new_call(frames, frame, arguments)
    call.gate, call.effect = spec.kind.value, Effect.read.value
    add_row(frames.tx, TOOL_CALLS, call)
    question = Question(
        kind=spec.kind,
        arguments_schema=_schema(spec, arguments),
        question=_question(frames, frame, spec),
        fields=spec.fields,
        choices=spec.choices,
        multiple=spec.multiple,
        approval=spec.approval,
        where=path_within(frames, frame),
        presentation=_presentation(frames, frame, spec),
    )
    open_requirement(frames.tx, frames.run, call, question, frames.now)
    frame.gate_id, frame.is_waiting = call.id, True


def _presentation(frames: StoredFrames, frame: MutableStep, spec: Ask) -> Presentation:
    presentation = frames.shape.by_id[frame.node].presentation
    # What is shown of a failure is the failure, and not what the author's words are about.
    is_about_failure = spec.kind is RequirementKind.error
    return presentation.without_arguments if is_about_failure else presentation


def apply_decision(frames: StoredFrames, machine: Machine[MutableStep], frame: MutableStep) -> bool:
    """Continue a frame with the decision about it; False while there is none.

    A requirement that was cancelled when the run failed is opened anew once the run is retried.
    """
    call = lifecycle.hold_call(frames.tx, frame.gate_id)
    requirements = [] if call is None else requirements_of_call(frames.tx, call.id)
    if (
        call is None
        or not requirements
        or requirements[-1].status == RequirementStatus.cancelled.value
    ):
        ask(frames, frame)
        return False
    row = requirements[-1]
    if row.status == RequirementStatus.pending.value:
        frame.is_waiting = True
        return False
    verdict = Verdict(row.verdict or Verdict.reject.value)
    is_unchanged = matches_shown_arguments(frames, frame, call, verdict)
    if not is_unchanged or not is_as_decided(frames, call, requirements):
        step = f"Step {frame.name!r} (call {call.id!r})"
        refuse(frames, f"{step} would continue with something other than")
        return False
    if call.status != ToolCallStatus.done.value:
        lifecycle.finish_call(frames.tx, call, ToolOutcome.result, "", frames.now)
    frame.is_waiting = False
    match Phase(frame.phase):
        case Phase.gate:
            _pass(machine, frame, call, row, verdict)
        case Phase.review:
            repeats = verdict is Verdict.reject and bool(effects_of(frames, frame))
            _review(machine, frame, call, row, verdict, repeats=repeats)
        case _:
            _recover(machine, frame, verdict)
    return True


def drop(frames: StoredFrames, frame: MutableStep) -> None:
    """Stop all work for a frame that was cancelled, except a call that is executing."""
    tx, run, now = frames.tx, frames.run, frames.now
    frame.is_waiting = False
    for call in hold_all(tx, TOOL_CALLS, _OPEN_CALLS, step_id=frame.id):
        for row in hold_pending(tx, call.id):
            closing.cancel(tx, run, row, now)
            # The workflow waits for a decision, and has to learn that there will be none.
            no_grace = timedelta(0)
            outbox.enqueue(
                tx, run, DeliveryKind.resolved, now, requirement_id=gate_id_of(row), grace=no_grace
            )
        if call.child_run_id is not None:
            child = lifecycle.lock(tx, call.child_run_id)
            lifecycle.cancel_child(tx, child, now)
        if call.status == ToolCallStatus.waiting.value:
            reason = "The step was stopped, because one beside it failed."
            lifecycle.finish_call(tx, call, ToolOutcome.cancelled, reason, now)


def _ask_of_phase(frames: StoredFrames, frame: MutableStep) -> tuple[Ask, dict[str, JsonValue]]:
    node = frames.shape.by_id[frame.node]
    match Phase(frame.phase):
        case Phase.gate if node.gate is not None:
            return node.gate, shown_before(frames, frame)
        case Phase.review if node.review is not None:
            return node.review, {"output": frames.content(frame)}
        case _:
            approval = _approval_of_failure(frames, frame, node)
            spec = Ask(kind=RequirementKind.error, approval=approval, message=frame.error_message)
            return spec, {"error": frame.error_message, "code": frame.error_code}


def _approval_of_failure(frames: StoredFrames, frame: MutableStep, node: Node) -> Approval:
    """Return who decides about a failed step.

    Silence cannot approve a failure. Executing a step again takes the people that its gate, or that
    of a container, took: it begins without being asked about again.
    """
    approval, overrides = node.on_trouble, dict[str, object](quorum=1)
    if approval.on_expiry is OnExpiry.approve:
        overrides["on_expiry"] = OnExpiry.reject
    nodes = (frames.shape.by_id[step.node] for step in (frame, *frames.above(frame)))
    gate = next((above.gate.approval for above in nodes if above.gate is not None), None)
    if gate is not None:
        overrides["quorum"] = gate.quorum
        overrides["candidates"] = approval.candidates or gate.candidates
        overrides["excluded"] = tuple(dict.fromkeys((*approval.excluded, *gate.excluded)))
    return Approval.model_validate({**approval.model_dump(), **overrides})


def _question(frames: StoredFrames, frame: MutableStep, spec: Ask) -> str | None:
    """Return the question, with the side effects that executing the frame again would repeat."""
    if Phase(frame.phase) is Phase.gate:
        return spec.message
    effects = effects_of(frames, frame)
    template = _REJECTS if Phase(frame.phase) is Phase.review else _AGAIN
    warning = template.format(", ".join(effects)) if effects else None
    return "\n".join(filter(None, (spec.message, warning))) or None


def effects_of(frames: StoredFrames, frame: MutableStep, *, is_reviewed: bool = False) -> list[str]:
    """Return what executing a frame again would repeat, and must happen only once.

    With `is_reviewed`, its output is or was reviewed, so that it has been executed itself.
    """
    save(frames.tx)
    effects = side_effects.effects_in_step(frames.tx, frame.id)
    node = frames.shape.by_id[frame.node]
    is_own = node.is_leaf and node.component_id is None and node.effect is Effect.once
    # About a step that failed, a person is asked for just that.
    if is_own and (is_reviewed or Phase(frame.phase) is Phase.review):
        effects = [f"{frame.name} (done)", *effects]
    return effects


def _schema(spec: Ask, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema of an edit: any value may change, except the item of a loop."""
    properties: dict[str, JsonValue] = {
        name: {"const": value} if name == "item" else {} for name, value in arguments.items()
    }
    properties |= {field.name: field.json_schema for field in spec.fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _pass(
    machine: Machine[MutableStep],
    frame: MutableStep,
    call: ToolCallRecord,
    row: RequirementRecord,
    verdict: Verdict,
) -> None:
    begins_with = effective_arguments(call)
    match verdict:
        case Verdict.approve:
            if call.approved_arguments is not None:
                machine.edited(frame, begins_with.get("input"))
            machine.on_pass(frame)
        case Verdict.answer:
            values = {name: value for name, value in begins_with.items() if name not in RESERVED}
            machine.on_pass(frame, values)
        case Verdict.choose:
            machine.on_pass(frame, routes=routes_of(call, multiple=row.multiple))
        case Verdict.fail:
            machine.failed(frame, "decided_to_fail", _explanation(row, "ended"), final=True)
        case _:
            machine.refused(frame, _explanation(row, "rejected"))


def _review(
    machine: Machine[MutableStep],
    frame: MutableStep,
    call: ToolCallRecord,
    row: RequirementRecord,
    verdict: Verdict,
    *,
    repeats: bool,
) -> None:
    match verdict:
        case Verdict.run_again:
            machine.done_again(frame, row.resolved_note or "")
        case Verdict.approve if call.approved_arguments is not None:
            machine.replaced(frame, call.approved_arguments.get("output"))
        case Verdict.approve:
            machine.approved(frame)
        case Verdict.fail:
            machine.failed(frame, "decided_to_fail", _explanation(row, "ended"), final=True)
        case _:
            silent = row.status == RequirementStatus.expired.value
            message = _explanation(row, "rejected what came of")
            note = row.resolved_note or ""
            machine.disapproved(frame, note, message, silent=silent, repeats=repeats)


def _recover(machine: Machine[MutableStep], frame: MutableStep, verdict: Verdict) -> None:
    match verdict:
        case Verdict.run_again:
            machine.again(frame)
        case Verdict.skip:
            machine.skipped(frame)
        case _:
            code, message = frame.error_code or "error", frame.error_message or ""
            machine.failed(frame, code, message, final=True)


def _explanation(row: RequirementRecord, action: str) -> str:
    # Kern's own note says what happened, such as that nobody decided in time.
    label = "" if row.resolved_by == KERN else "Their note: "
    note = f" {label}{row.resolved_note}" if row.resolved_note else ""
    return f"{row.resolved_by!r} {action} the step {row.tool_name!r}.{note}"
