"""Decides requirements, cancels and retries runs, and prints the consequence."""

from kern.client.cli import prompts
from kern.client.cli.access import decider, perform
from kern.client.cli.answers import AnswerOptions, fill_in, json_object
from kern.client.cli.printing import count, one_line, say, say_json, show_call
from kern.client.service.runs import Acceptance
from kern.client.service.service import Service
from kern.contracts.reports import Receipt
from kern.contracts.viewer import OPERATOR
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
    Verdict.happened: "Marked as happened",
    Verdict.run_again: "To be run again",
    Verdict.skip: "Left out",
    Verdict.fail: "The run is ended",
    Verdict.withdraw: "Withdrawn",
}
_APPROVED = (RequirementKind.confirmation, RequirementKind.output_review)


def approve_call(
    requirement_id: str, *, edit: str | None, note: str | None, by: str | None, as_json: bool
) -> None:
    """Approve a call, with an edit if one is given."""
    changes = None if edit is None else json_object(edit, "--edit")
    name = decider(by)

    async def approve(service: Service) -> tuple[Requirement, Receipt]:
        item = await open_requirement(service, requirement_id)
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
        return item, await service.inbox.decide(OPERATOR, item, name)

    _report(*perform(approve), name, as_json=as_json)


def reject_call(requirement_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Reject a requirement."""
    name = decider(by)

    async def reject(service: Service) -> tuple[Requirement, Receipt]:
        item = (await open_requirement(service, requirement_id)).reject(note, name)
        return item, await service.inbox.decide(OPERATOR, item, name)

    _report(*perform(reject), name, as_json=as_json)


def withdraw_vote(requirement_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Take back what the person approved, unless the call has begun."""
    name = decider(by)

    async def withdraw(service: Service) -> tuple[Requirement, Receipt]:
        item = (await service.inbox.read(OPERATOR, requirement_id)).withdraw(note, name)
        return item, await service.inbox.decide(OPERATOR, item, name)

    _report(*perform(withdraw), name, as_json=as_json)


def answer_requirement(
    requirement_id: str, options: AnswerOptions, *, note: str | None, by: str | None, as_json: bool
) -> None:
    """Answer a requirement; on a terminal, ask for what was not given."""
    name = decider(by)
    item = perform(lambda service: open_requirement(service, requirement_id))
    if not options.names and prompts.can_ask() and not as_json:
        if not prompts.ask(item, name):
            say("Nothing was decided.")
            return
    else:
        fill_in(item, options, note, name)
    receipt = perform(lambda service: service.inbox.decide(OPERATOR, item, name))
    _report(item, receipt, name, as_json=as_json)


def cancel_run(run_id: str, *, as_json: bool) -> None:
    """Cancel a run."""

    async def cancel(service: Service) -> Acceptance:
        return await service.runs.cancel(OPERATOR, await service.runs.full_id(OPERATOR, run_id))

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

    async def retry(service: Service) -> Acceptance:
        return await service.runs.retry(OPERATOR, await service.runs.full_id(OPERATOR, run_id))

    accepted = perform(retry)
    full = accepted.run_id
    if as_json:
        say_json({"run_id": full, "status": "pending", "delivered": accepted.delivered})
        return
    say(f"Run {full} goes on where it failed. Follow it with `kern show {full}`.")
    if not accepted.delivered:
        say("It continues when a worker runs.")


async def open_requirement(service: Service, requirement_id: str) -> Requirement:
    """Read a pending requirement by its id or the end of it.

    Raises:
        NotFound: there is none with this id.
        AlreadyResolved: somebody decided first; the message says who.
    """
    item = await service.inbox.read(OPERATOR, requirement_id)
    if item.status is not RequirementStatus.pending:
        raise AlreadyResolved(closed_message(item))
    return item


def _report(item: Requirement, receipt: Receipt, name: str, *, as_json: bool) -> None:
    after = receipt.requirement
    if as_json:
        document = after.model_dump(mode="json")
        say_json({"requirement": document, "accepted": True, "delivered": bool(receipt.delivered)})
        return
    verdict = item.draft.verdict if item.draft else Verdict.approve
    if verdict is Verdict.withdraw:
        call = show_call(after.tool_name, after.arguments)
        say(f"{DONE[verdict]} by {one_line(name)}: {call} in run {after.run_id}.")
        say("The call has not begun: it waits until it is decided.")
        return
    edit = (item.draft.edit if item.draft else None) or {}
    call = show_call(after.tool_name, {**after.arguments, **edit})
    say(f"{DONE[verdict]} by {one_line(name)}: {call} in run {after.run_id}.")
    say(consequence_of(receipt))


def consequence_of(receipt: Receipt) -> str:
    """Say what becomes of a decision that was accepted."""
    if receipt.delivered is None:
        missing = receipt.requirement.quorum - receipt.requirement.approvals
        return f"Accepted and kept: {count(missing, 'more approval')} of the same call needed."
    return "Delivered: the run goes on." if receipt.delivered else LATER
