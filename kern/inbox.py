"""The inbox for programs: what waits for people, their decisions, the runs, and who is away.

It is meant for operators' programs, such as an inbox in a web application: it reaches the runs of
all users of the tenant that is named (`kern.tenants`, `KERN_TENANT`), or of all tenants if none is,
on the database and the Temporal that the settings name (`KERN_HOME`, `KERN_DATABASE_URL`,
`TEMPORAL_ADDRESS`). The process needs no component's code and executes
nothing; where it runs components too, their runtime answers.

With `KERN_API_URL` and a token (`KERN_API_TOKEN` or `KERN_API_TOKEN_FILE`) it works over HTTP, and
needs no database. Whoever the token belongs to decides then, and reaches their tenant.

Every function has an async twin whose name begins with `a`.
"""

from datetime import datetime
from typing import Literal

from kern.components.runner import OperatorWork, aoperator_runner, is_remote, operator_runner
from kern.contracts.reports import Receipt, RequirementPage, RunPage
from kern.contracts.triage import Absence, AbsencePage
from kern.contracts.viewer import present_operator
from kern.errors import InvalidDecision, InvalidInput
from kern.requirements import Principal, Requirement
from kern.values.states import RequirementKind, RunStatus
from kern.values.validation import described, member_of

__all__ = [
    "Absence",
    "AbsencePage",
    "Principal",
    "Receipt",
    "RequirementPage",
    "RunPage",
    "aabsences",
    "aaway",
    "aback",
    "absences",
    "adecide",
    "aget",
    "apending",
    "aruns",
    "away",
    "back",
    "decide",
    "get",
    "pending",
    "runs",
]

Kind = (
    RequirementKind
    | Literal[
        "confirmation",
        "user_input",
        "user_feedback",
        "external_execution",
        "output_review",
        "error",
        "unknown_outcome",
    ]
)
Status = RunStatus | Literal["pending", "running", "paused", "completed", "cancelled", "error"]


def pending(
    *,
    user_id: str | None = None,
    run_id: str | None = None,
    session_id: str | None = None,
    kind: Kind | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> RequirementPage:
    """List what waits for people, the oldest first.

    Args:
        user_id: Only requirements in sessions of this user; default: of all.
        run_id: Only those of this run and of its child runs; the end of its id is enough.
        session_id: Only those of this session.
        kind: Only those of this kind.
        limit: How many at most, up to 1,000.
        cursor: `RequirementPage.next_cursor` of the page before: the id of its last requirement, of
            which the end is enough.

    Raises:
        InvalidInput: an argument makes no sense.
        NotFound: there is no requirement at the cursor.
        Unavailable: the database does not answer.
    """
    listing = _pending(user_id, run_id, session_id, kind, limit=limit, cursor=cursor)
    return operator_runner().call(listing)


async def apending(
    *,
    user_id: str | None = None,
    run_id: str | None = None,
    session_id: str | None = None,
    kind: Kind | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> RequirementPage:
    """As `pending`, for async callers."""
    listing = _pending(user_id, run_id, session_id, kind, limit=limit, cursor=cursor)
    return await (await aoperator_runner()).acall(listing)


def get(requirement_id: str) -> Requirement:
    """Read a requirement by its id, pending or resolved.

    Fill in a decision with its methods (`approve`, `reject`, `edit`, ...), and hand it to `decide`.

    Args:
        requirement_id: Its id, or the end of it: six characters or more that no other id ends with.

    Raises:
        InvalidInput: it can be no id, or several ids end so.
        NotFound: there is no such requirement.
    """
    viewer = present_operator()
    return operator_runner().call(lambda service: service.inbox.read(viewer, requirement_id))


async def aget(requirement_id: str) -> Requirement:
    """As `get`, for async callers."""
    viewer = present_operator()
    runner = await aoperator_runner()
    return await runner.acall(lambda service: service.inbox.read(viewer, requirement_id))


def decide(
    requirement: Requirement,
    *,
    by: str | Principal | None = None,
    digest: str | None = None,
    confirm: str | None = None,
) -> Receipt:
    """Accept the decision that was filled in on a requirement.

    Returns once the decision is stored: from then on it survives the death of any process. The run
    continues by itself, and is not waited for.

    Args:
        requirement: As `get` or `pending` returned it, with a decision filled in.
        by: Who decides; default: the `by` that the decision was filled in with. Pass the user whom
            your application authenticated, never what a form says: a `Principal` with the issuer
            and the subject, who decides in their own tenant alone, or a name, which is recorded as
            a claim. Over HTTP it is whoever the token belongs to, and nobody else can be named.
        digest: `Requirement.digest` as the person was shown it, or its first 8 characters or more,
            such as from the form that they sent: a call with another digest is not decided, except
            to refuse it. It may also be that of the call as edited, or of an open proposal
            (`Proposal.digest`), with which an approval agrees then.
        confirm: What the person typed to let the call run, which has to be the requirement's
            `confirm_value`. Over HTTP, a call that has one does not run without it.

    Raises:
        AlreadyResolved: somebody decided first; the message says who.
        ArgumentsChanged: the arguments on the object are not those that were frozen, or the person
            was shown another call.
        InvalidDecision: the decision does not fit, none was filled in, or nobody is named.
        InvalidInput: `requirement` is none, or `by` is no name.
        NotAllowed: this person may not decide.
        Unavailable: the database does not answer.
    """
    name, viewer = _decider(requirement, by, confirm), present_operator()
    return operator_runner().call(
        lambda service: service.inbox.decide(
            viewer, requirement, name, digest=digest, confirm=confirm
        )
    )


async def adecide(
    requirement: Requirement,
    *,
    by: str | Principal | None = None,
    digest: str | None = None,
    confirm: str | None = None,
) -> Receipt:
    """As `decide`, for async callers."""
    name, viewer = _decider(requirement, by, confirm), present_operator()
    runner = await aoperator_runner()
    return await runner.acall(
        lambda service: service.inbox.decide(
            viewer, requirement, name, digest=digest, confirm=confirm
        )
    )


def runs(
    *,
    status: Status | None = None,
    user_id: str | None = None,
    component_id: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> RunPage:
    """List runs, the latest first, without child runs.

    Args:
        status: Only runs with this status.
        user_id: Only runs of this user; default: of all.
        component_id: Only runs of this component.
        limit: How many at most, up to 1,000.
        cursor: `RunPage.next_cursor` of the page before: the id of its last run, of which the end
            is enough.

    Raises:
        InvalidInput: an argument makes no sense.
        NotFound: there is no run at the cursor.
        Unavailable: the database does not answer.
    """
    listing = _runs(status, user_id, component_id, limit=limit, cursor=cursor)
    return operator_runner().call(listing)


async def aruns(
    *,
    status: Status | None = None,
    user_id: str | None = None,
    component_id: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> RunPage:
    """As `runs`, for async callers."""
    listing = _runs(status, user_id, component_id, limit=limit, cursor=cursor)
    return await (await aoperator_runner()).acall(listing)


def away(
    *,
    until: datetime,
    since: datetime | None = None,
    note: str | None = None,
    by: str | Principal | None = None,
) -> Absence:
    """Say that somebody is away, for people who see whom a decision waits for.

    It decides nothing, keeps nobody from deciding, and changes nobody who is asked. Each person has
    one absence: saying it again replaces it. It ends by itself.

    Args:
        until: A time with its zone, in the future, within 366 days.
        since: From when on; default: now, or as it was said before if that has begun.
        note: Something that people who look read; models do not.
        by: Who is away, as for `decide`. Pass the user whom your application authenticated.

    Raises:
        InvalidInput: an argument makes no sense, or nobody is named.
        NotAllowed: it is no person.
        Unavailable: the database does not answer.
    """
    viewer, name = present_operator(), _person(by)
    return operator_runner().call(
        lambda service: service.absences.begin(viewer, until, name, since=since, note=note)
    )


async def aaway(
    *,
    until: datetime,
    since: datetime | None = None,
    note: str | None = None,
    by: str | Principal | None = None,
) -> Absence:
    """As `away`, for async callers."""
    viewer, name = present_operator(), _person(by)
    return await (await aoperator_runner()).acall(
        lambda service: service.absences.begin(viewer, until, name, since=since, note=note)
    )


def back(*, by: str | Principal | None = None) -> bool:
    """Say that somebody is back, and return whether they were away. Raises as `away`."""
    viewer, name = present_operator(), _person(by)
    return operator_runner().call(lambda service: service.absences.end(viewer, name))


async def aback(*, by: str | Principal | None = None) -> bool:
    """As `back`, for async callers."""
    viewer, name = present_operator(), _person(by)
    return await (await aoperator_runner()).acall(
        lambda service: service.absences.end(viewer, name)
    )


def absences(*, limit: int = 50, cursor: str | None = None) -> AbsencePage:
    """List who is away now, whoever is back first to begin with.

    Args:
        limit: How many at most, up to 1,000.
        cursor: `AbsencePage.next_cursor` of the page before.

    Raises:
        InvalidInput: an argument makes no sense.
        Unavailable: the database does not answer.
    """
    viewer = present_operator()
    return operator_runner().call(
        lambda service: service.absences.page(viewer, limit=limit, cursor=cursor)
    )


async def aabsences(*, limit: int = 50, cursor: str | None = None) -> AbsencePage:
    """As `absences`, for async callers."""
    viewer = present_operator()
    return await (await aoperator_runner()).acall(
        lambda service: service.absences.page(viewer, limit=limit, cursor=cursor)
    )


def _pending(
    user_id: str | None,
    run_id: str | None,
    session_id: str | None,
    kind: Kind | None,
    *,
    limit: int,
    cursor: str | None,
) -> OperatorWork[RequirementPage]:
    member, viewer = member_of("kind", kind, RequirementKind), present_operator()
    return lambda service: service.inbox.pending(
        viewer,
        limit=limit,
        cursor=cursor,
        user_id=user_id,
        run_id=run_id,
        session_id=session_id,
        kind=member,
    )


def _runs(
    status: Status | None,
    user_id: str | None,
    component_id: str | None,
    *,
    limit: int,
    cursor: str | None,
) -> OperatorWork[RunPage]:
    member, viewer = member_of("status", status, RunStatus), present_operator()
    return lambda service: service.runs.page(
        viewer,
        limit=limit,
        cursor=cursor,
        status=member,
        user_id=user_id,
        component_id=component_id,
    )


def _decider(requirement: object, by: object, confirm: object) -> str | Principal | None:
    if not isinstance(requirement, Requirement):
        message = (
            f"requirement is {described(requirement)}: pass a Requirement, as get or pending "
            "returned it."
        )
        raise InvalidInput(message)
    if by is not None and not isinstance(by, str | Principal):
        raise InvalidInput(f"by is {described(by)}: it has to be a text or a Principal.")
    if confirm is not None and not isinstance(confirm, str):
        raise InvalidInput(f"confirm is {described(confirm)}: it has to be a text.")
    draft = requirement.draft
    name = by if by is not None or draft is None else draft.by
    is_missing = name is None and not is_remote()
    if draft is not None and (is_missing or (isinstance(name, str) and not name.strip())):
        message = (
            f"Nobody is named for the decision about requirement {requirement.id!r}: pass by= with "
            "the user whom your application authenticated."
        )
        raise InvalidDecision(message)
    return name


def _person(by: object) -> str | Principal | None:
    if isinstance(by, Principal) or (isinstance(by, str) and by.strip()):
        return by
    if by is None and is_remote():
        return None
    if by is not None and not isinstance(by, str):
        raise InvalidInput(f"by is {described(by)}: it has to be a text or a Principal.")
    message = (
        "Nobody is named who is away or back: pass by= with the user whom your application "
        "authenticated."
    )
    raise InvalidInput(message)
