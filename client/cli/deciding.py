"""Decides about requirements and cancels runs, for an operator, and says what came of it."""

from collections.abc import Callable

from sqlmodel import Session

from kern.client.cli import prompts, store
from kern.client.cli.answers import Given, fill_in, json_object
from kern.client.cli.printing import count, one_line, say, say_json, show_call
from kern.client.service import operator
from kern.client.service.operator import Decided
from kern.contracts.viewer import OPERATOR, system_user
from kern.db.engine.store import Store
from kern.db.reading import listings, run_outputs
from kern.errors import AlreadyResolved, InvalidDecision, InvalidInput
from kern.process.settings import Settings, read_settings
from kern.requirements import Requirement
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
}
_APPROVED = (RequirementKind.confirmation, RequirementKind.output_review)


def approve_call(
    requirement_id: str, *, edit: str | None, note: str | None, by: str | None, as_json: bool
) -> None:
    """Approve a call, with an edit if one is given."""
    changes = None if edit is None else json_object(edit, "--edit")
    settings, who = read_settings(), decider(by)
    with store.existing_database(settings) as db:
        item = open_requirement(db, requirement_id)
        if item.kind not in _APPROVED:
            message = (
                f"Requirement {item.id!r} waits for {item.kind.value}, not for an approval: use "
                "`kern answer`."
            )
            raise InvalidDecision(message)
        if changes is None:
            item.confirm(note, who)
        else:
            item.edit(changes, note, who)
        _report(operator.decide(settings, db, item, who), item, who, as_json=as_json)


def reject_call(requirement_id: str, *, note: str | None, by: str | None, as_json: bool) -> None:
    """Reject what waits."""
    settings, who = read_settings(), decider(by)
    with store.existing_database(settings) as db:
        item = open_requirement(db, requirement_id).reject(note, who)
        _report(operator.decide(settings, db, item, who), item, who, as_json=as_json)


def answer_requirement(
    requirement_id: str, given: Given, *, note: str | None, by: str | None, as_json: bool
) -> None:
    """Give what was asked for; on a terminal, ask for what was not given."""
    settings, who = read_settings(), decider(by)
    with store.existing_database(settings) as db:
        item = open_requirement(db, requirement_id)
        if not given.names and prompts.can_ask() and not as_json:
            if not prompts.ask(item, who):
                say("Nothing was decided.")
                return
        else:
            fill_in(item, given, note, who)
        _report(operator.decide(settings, db, item, who), item, who, as_json=as_json)


def cancel_run(run_id: str, *, as_json: bool) -> None:
    """Cancel a run."""
    full, delivered = _act(run_id, operator.cancel)
    if as_json:
        say_json({"run_id": full, "status": "cancelled", "delivered": delivered})
        return
    say(f"Cancelled: run {full}. Nothing new begins in it.")
    if not delivered:
        say("What executes it is told when a worker runs.")


def retry_run(run_id: str, *, as_json: bool) -> None:
    """Have a workflow's run that failed go on."""
    full, delivered = _act(run_id, operator.retry)
    if as_json:
        say_json({"run_id": full, "status": "pending", "delivered": delivered})
        return
    say(f"Run {full} goes on where it failed. Follow it with `kern show {full}`.")
    if not delivered:
        say("It goes on when a worker runs.")


def _act(run_id: str, act: Callable[[Settings, Store, str], bool]) -> tuple[str, bool]:
    """Do something to a run; return its whole id, and whether what executes it was told."""
    settings = read_settings()
    with store.existing_database(settings) as db:
        full = db.read_now(lambda tx: listings.full_run_id(tx, run_id))
        return full, act(settings, db, full)


def decider(by: str | None) -> str:
    """Return who decides.

    Raises:
        InvalidInput: the name given is empty.
    """
    if by is not None and not by.strip():
        message = "--by needs a name: it is kept with the decision."
        raise InvalidInput(message)
    return by or system_user()


def open_requirement(db: Store, given: str) -> Requirement:
    """Read a requirement that still waits.

    Raises:
        NotFound: there is none with this id.
        AlreadyResolved: somebody was first; the message says who.
    """

    def read(tx: Session) -> Requirement:
        full = listings.full_requirement_id(tx, given)
        return run_outputs.requirement_of(tx, run_outputs.find_requirement(tx, full, OPERATOR))

    item = db.read_now(read)
    if item.status is not RequirementStatus.pending:
        raise AlreadyResolved(item.closed_message())
    return item


def _report(decided: Decided, item: Requirement, who: str, *, as_json: bool) -> None:
    after = decided.requirement
    if as_json:
        found = after.model_dump(mode="json")
        say_json({"requirement": found, "accepted": True, "delivered": bool(decided.delivered)})
        return
    verdict = item.draft.verdict if item.draft else Verdict.approve
    edit = (item.draft.edit if item.draft else None) or {}
    call = show_call(after.tool_name, {**after.arguments, **edit})
    say(f"{DONE[verdict]} by {one_line(who)}: {call} in run {after.run_id}.")
    say(what_follows(decided))


def what_follows(decided: Decided) -> str:
    """Say what becomes of a decision that was accepted."""
    if decided.delivered is None:
        missing = decided.requirement.quorum - decided.requirement.approvals
        return f"Accepted and kept: {count(missing, 'more approval')} of the same call needed."
    return "Delivered: the run goes on." if decided.delivered else LATER
