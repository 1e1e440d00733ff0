"""Decides requirements, cancels and retries runs, and prints the consequence."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from kern.client.cli import prompts
from kern.client.cli.access import decider, perform
from kern.client.cli.answers import AnswerOptions, fill_in, json_object
from kern.client.cli.each import Report, digest_among, report_each
from kern.client.cli.identifiers import find_open_requirement, find_requirement, find_run
from kern.client.cli.printing import count, one_line, say, say_json, show_call
from kern.client.cli.typed_confirmation import submitted_confirmation
from kern.client.service.operations import OperatorService
from kern.contracts.reports import Acceptance, Receipt
from kern.contracts.viewer import present_operator
from kern.errors import InvalidDecision, InvalidInput
from kern.requirements import Requirement
from kern.values.states import RequirementKind, Verdict

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
_WITHDRAWN = "The call has not begun: it waits until it is decided."
_APPROVED = (RequirementKind.confirmation, RequirementKind.output_review)


@dataclass(frozen=True)
class Display:
    """What somebody was shown and typed, as the options of a command say it.

    Attributes:
        digests: The beginnings of the digests of what was shown.
        confirms: What was typed.
        as_json: Whether it is printed for programs, and nobody is asked.
    """

    digests: Sequence[str] = ()
    confirms: Sequence[str] = ()
    as_json: bool = False


def approve_calls(
    ids: Sequence[str],
    display: Display,
    *,
    edit: str | None,
    note: str | None,
    by: str | None,
) -> int:
    """Approve calls, with an edit if one is given; show each and ask, unless its digest is given.

    Return the exit code: that of the first that was not decided.
    """
    changes = None if edit is None else json_object(edit, "--edit")
    if changes is not None and len(ids) > 1:
        message = "--edit changes one call: give one ID, or leave it out. Nothing was decided."
        raise InvalidInput(message)
    name = decider(by)

    def approve(identifier: str) -> Report | None:
        item = perform(lambda service: find_open_requirement(service, identifier))
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
        digest = digest_among(display.digests, item)
        if digest is None:
            digest = prompts.confirm_display(item, "Approve this call", as_json=display.as_json)
        return _decide(item, name, digest, display)

    return report_each(ids, approve, as_json=display.as_json)


def reject_calls(ids: Sequence[str], *, note: str | None, by: str | None, as_json: bool) -> int:
    """Reject requirements; return the exit code as `approve_calls`."""
    name = decider(by)
    return _decide_each(
        ids, find_open_requirement, lambda item: item.reject(note, name), name, as_json=as_json
    )


def withdraw_votes(ids: Sequence[str], *, note: str | None, by: str | None, as_json: bool) -> int:
    """Take back what the person approved, unless the call has begun; as `reject_calls`."""
    name = decider(by)
    return _decide_each(
        ids, find_requirement, lambda item: item.withdraw(note, name), name, as_json=as_json
    )


def _decide_each(
    ids: Sequence[str],
    find: Callable[[OperatorService, str], Awaitable[Requirement]],
    fill: Callable[[Requirement], Requirement],
    name: str,
    *,
    as_json: bool,
) -> int:
    """Fill in a decision on each requirement that is found, and send it."""

    async def decide(service: OperatorService, identifier: str) -> Report:
        item = fill(await find(service, identifier))
        receipt = await service.inbox.decide(present_operator(), item, name)
        return _report(item, receipt, name)

    return report_each(
        ids,
        lambda identifier: perform(lambda service: decide(service, identifier)),
        as_json=as_json,
    )


def answer_requirements(
    ids: Sequence[str],
    options: AnswerOptions,
    display: Display,
    *,
    note: str | None,
    by: str | None,
) -> int:
    """Answer requirements; on a terminal, ask for what was not given. As `approve_calls`."""
    name = decider(by)

    def answer(identifier: str) -> Report | None:
        item = perform(lambda service: find_open_requirement(service, identifier))
        if not options.names and prompts.can_ask() and not display.as_json:
            is_decided = prompts.ask(item, name)
            return _submit(item, name, _digest_of_draft(item)) if is_decided else None
        fill_in(item, options, note, name)
        digest = digest_among(display.digests, item)
        if digest is None and options.needs_display:
            digest = prompts.confirm_display(item, "Decide so", as_json=display.as_json)
        elif digest is None:
            digest = item.digest
        return _decide(item, name, digest, display)

    return report_each(ids, answer, as_json=display.as_json)


def _digest_of_draft(item: Requirement) -> str:
    """Return the digest of what a prompt has shown: of the call, or of the call as edited."""
    return (item.draft.digest if item.draft is not None else None) or item.digest


def _decide(item: Requirement, name: str, digest: str | None, display: Display) -> Report | None:
    """Submit what was filled in about the call with a digest; None if the person left it open."""
    if digest is None:
        return None
    if not prompts.confirms(item, digest, display.confirms, as_json=display.as_json):
        return None
    return _submit(item, name, digest)


def _submit(item: Requirement, name: str, digest: str) -> Report:
    viewer, confirm = present_operator(), submitted_confirmation(item, digest)
    receipt = perform(
        lambda service: service.inbox.decide(viewer, item, name, digest=digest, confirm=confirm)
    )
    return _report(item, receipt, name, digest)


def cancel_run(run_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Cancel a run."""
    name = decider(by)

    async def cancel(service: OperatorService) -> Acceptance:
        full = await find_run(service, run_id)
        return await service.runs.cancel(present_operator(), full, by=name, note=note)

    accepted = perform(cancel)
    if as_json:
        delivered = accepted.delivered
        say_json({"run_id": accepted.run_id, "status": "cancelled", "delivered": delivered})
        return
    say(f"Cancelled: run {accepted.run_id}. Nothing new begins in it.")
    if not accepted.delivered:
        say("Its workflow is notified when a worker runs.")


def retry_run(run_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Have a run that failed continue."""
    name = decider(by)

    async def retry(service: OperatorService) -> Acceptance:
        full = await find_run(service, run_id)
        return await service.runs.retry(present_operator(), full, by=name, note=note)

    accepted = perform(retry)
    full = accepted.run_id
    if as_json:
        say_json({"run_id": full, "status": "pending", "delivered": accepted.delivered})
        return
    say(f"Run {full} goes on where it failed. Follow it with `kern show {full}`.")
    if not accepted.delivered:
        say("It continues when a worker runs.")


def _report(item: Requirement, receipt: Receipt, name: str, digest: str | None = None) -> Report:
    after = receipt.requirement
    document: dict[str, JsonValue] = {
        "requirement": after.model_dump(mode="json"),
        "accepted": True,
        "delivered": bool(receipt.delivered),
    }
    verdict = item.draft.verdict if item.draft else Verdict.approve
    if verdict is Verdict.withdraw:
        edit, consequence = _withdrawn_edit(item, after), _WITHDRAWN
    else:
        edit, consequence = _edit_of(item, after, digest), consequence_of(receipt)
    call = show_call(after.tool_name, {**after.arguments, **edit})
    line = f"{DONE[verdict]} by {one_line(name)}: {call} in run {after.run_id}."
    return Report(document, (line, consequence))


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
