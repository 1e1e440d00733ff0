"""Decides requirements, cancels and retries runs, and prints the consequence."""

from dataclasses import dataclass

from pydantic import JsonValue

from kern.client.cli import prompts
from kern.client.cli.access import decider, perform
from kern.client.cli.answers import AnswerOptions, fill_in, json_object
from kern.client.cli.printing import count, one_line, say, say_json, show_call
from kern.client.service.operations import OperatorService
from kern.contracts.reports import Acceptance, Receipt
from kern.contracts.viewer import present_operator
from kern.errors import AlreadyResolved, InvalidDecision
from kern.requirements import Requirement, closed_message
from kern.values.states import RequirementKind, RequirementStatus, Verdict

LATER = "Accepted and kept: it will be acted on when a worker runs (`kern up --app …`)."

DONE: dict[Verdict, str] = {
    Verdict.approve: "Approved",
    Verdict.reject: "Rejected",
    Verdict.answer: "Answered",
    Verdict.choose: "Chosen",
    Verdict.result: "Result given",
    Verdict.unknown: "Outcome reported as unknown",
    Verdict.happened: "Marked as happened",
    Verdict.run_again: "To be run again",
    Verdict.skip: "Left out",
    Verdict.fail: "The run is ended",
    Verdict.withdraw: "Withdrawn",
}
_APPROVED = (RequirementKind.confirmation, RequirementKind.output_review)


@dataclass(frozen=True)
class Display:
    """What somebody was shown and typed, as the options of a command say it.

    Attributes:
        digest: The beginning of the digest of what was shown.
        confirm: What was typed.
    """

    digest: str | None = None
    confirm: str | None = None


def approve_call(
    requirement_id: str,
    display: Display,
    *,
    edit: str | None,
    note: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Approve a call, with an edit if one is given; show it and ask, unless its digest is given."""
    changes = None if edit is None else json_object(edit, "--edit")
    name = decider(by)
    item = perform(lambda service: open_requirement(service, requirement_id))
    if item.kind not in _APPROVED:
        message = (
            f"Requirement {item.id!r} waits for {item.kind.value}, not for an approval: use "
            "`kern answer`."
        )
        raise InvalidDecision(message)
    if changes is None:
        item.confirm(note, name)
    else:
        item.edit(changes, note, name)
    digest = display.digest or prompts.confirm_display(item, "Approve this call", as_json=as_json)
    _decide(item, name, Display(digest, display.confirm), as_json=as_json)


def reject_call(requirement_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Reject a requirement."""
    name = decider(by)

    async def reject(service: OperatorService) -> tuple[Requirement, Receipt]:
        item = (await open_requirement(service, requirement_id)).reject(note, name)
        return item, await service.inbox.decide(present_operator(), item, name)

    _report(*perform(reject), name, as_json=as_json)


def withdraw_vote(requirement_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Take back what the person approved, unless the call has begun."""
    name = decider(by)

    async def withdraw(service: OperatorService) -> tuple[Requirement, Receipt]:
        viewer = present_operator()
        item = (await service.inbox.read(viewer, requirement_id)).withdraw(note, name)
        return item, await service.inbox.decide(viewer, item, name)

    _report(*perform(withdraw), name, as_json=as_json)


def answer_requirement(
    requirement_id: str,
    options: AnswerOptions,
    display: Display,
    *,
    note: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Answer a requirement; on a terminal, ask for what was not given."""
    name, digest = decider(by), display.digest
    item = perform(lambda service: open_requirement(service, requirement_id))
    if not options.names and prompts.can_ask() and not as_json:
        digest = _digest_of_draft(item) if prompts.ask(item, name) else None
    else:
        fill_in(item, options, note, name)
        if digest is None and options.needs_display:
            digest = prompts.confirm_display(item, "Decide so", as_json=as_json)
        elif digest is None:
            digest = item.digest
    _decide(item, name, Display(digest, display.confirm), as_json=as_json)


def _digest_of_draft(item: Requirement) -> str:
    """Return the digest of what a prompt has shown: of the call, or of the call as edited."""
    return (item.draft.digest if item.draft is not None else None) or item.digest


def _decide(item: Requirement, name: str, display: Display, *, as_json: bool) -> None:
    """Submit what was filled in about the call with a digest; None if the person left it open."""
    digest = display.digest
    if digest is None:
        say("Nothing was decided.")
        return
    viewer, confirm = present_operator(), prompts.typed_confirmation(item, display.confirm)
    receipt = perform(
        lambda service: service.inbox.decide(viewer, item, name, digest=digest, confirm=confirm)
    )
    _report(item, receipt, name, digest, as_json=as_json)


def cancel_run(run_id: str, *, as_json: bool) -> None:
    """Cancel a run."""

    async def cancel(service: OperatorService) -> Acceptance:
        viewer = present_operator()
        return await service.runs.cancel(viewer, await service.runs.full_id(viewer, run_id))

    accepted = perform(cancel)
    if as_json:
        delivered = accepted.delivered
        say_json({"run_id": accepted.run_id, "status": "cancelled", "delivered": delivered})
        return
    say(f"Cancelled: run {accepted.run_id}. Nothing new begins in it.")
    if not accepted.delivered:
        say("Its workflow is notified when a worker runs.")


def retry_run(run_id: str, *, as_json: bool) -> None:
    """Have a run that failed continue."""

    async def retry(service: OperatorService) -> Acceptance:
        viewer = present_operator()
        return await service.runs.retry(viewer, await service.runs.full_id(viewer, run_id))

    accepted = perform(retry)
    full = accepted.run_id
    if as_json:
        say_json({"run_id": full, "status": "pending", "delivered": accepted.delivered})
        return
    say(f"Run {full} goes on where it failed. Follow it with `kern show {full}`.")
    if not accepted.delivered:
        say("It continues when a worker runs.")


async def open_requirement(service: OperatorService, requirement_id: str) -> Requirement:
    """Read a pending requirement by its id or the end of it.

    Raises:
        NotFound: there is none with this id.
        AlreadyResolved: somebody decided first; the message says who.
    """
    item = await service.inbox.read(present_operator(), requirement_id)
    if item.status is not RequirementStatus.pending:
        raise AlreadyResolved(closed_message(item))
    return item


def _report(
    item: Requirement, receipt: Receipt, name: str, digest: str | None = None, *, as_json: bool
) -> None:
    after = receipt.requirement
    if as_json:
        document = after.model_dump(mode="json")
        say_json({"requirement": document, "accepted": True, "delivered": bool(receipt.delivered)})
        return
    verdict = item.draft.verdict if item.draft else Verdict.approve
    if verdict is Verdict.withdraw:
        call = show_call(after.tool_name, {**after.arguments, **_withdrawn_edit(item, after)})
        say(f"{DONE[verdict]} by {one_line(name)}: {call} in run {after.run_id}.")
        say("The call has not begun: it waits until it is decided.")
        return
    call = show_call(after.tool_name, {**after.arguments, **_edit_of(item, after, digest)})
    say(f"{DONE[verdict]} by {one_line(name)}: {call} in run {after.run_id}.")
    say(consequence_of(receipt))


def _edit_of(item: Requirement, after: Requirement, digest: str | None) -> dict[str, JsonValue]:
    """Return what was changed of the call; whoever agrees with a proposal has its edit."""
    if item.draft is not None and item.draft.edit is not None:
        return item.draft.edit
    if after.resolution is not None:
        return after.resolution.edit or {}
    agreed = [each for each in after.proposals if digest and each.digest.startswith(digest)]
    return (agreed[0].edit if agreed else None) or {}


def _withdrawn_edit(before: Requirement, after: Requirement) -> dict[str, JsonValue]:
    """Return what the vote that was taken back would have changed of the call."""
    if before.resolution is not None:
        return before.resolution.edit or {}
    votes = {proposal.digest: proposal.approvals for proposal in after.proposals}
    fewer = [item for item in before.proposals if item.approvals > votes.get(item.digest, 0)]
    return (fewer[0].edit if fewer else None) or {}


def consequence_of(receipt: Receipt) -> str:
    """Say what becomes of a decision that was accepted."""
    if receipt.delivered is None:
        missing = receipt.requirement.quorum - receipt.requirement.approvals
        return f"Accepted and kept: {count(missing, 'more approval')} of the same call needed."
    return "Delivered: the run goes on." if receipt.delivered else LATER
