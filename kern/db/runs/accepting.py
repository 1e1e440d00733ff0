"""Accepting runs: an accepted run is kept, and a repeated request is the same run."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.requests import RunRequest
from kern.contracts.viewer import Viewer
from kern.db.engine.plain_rows import add, add_row, new_row
from kern.db.engine.records import RunRecord, SessionRecord
from kern.db.engine.typed_tables import MESSAGES, RUNS, SESSIONS
from kern.db.journal import outbox
from kern.db.journal.events import append, events_of
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.reading import files
from kern.db.reading.run_outputs import run_row
from kern.db.runs import lifecycle, policies, session_queue
from kern.db.runs.deleted import tenant_of_deleted
from kern.db.runs.session_state import change_state
from kern.errors import Conflict
from kern.media import Attachment
from kern.pipeline.strictness import DeclaredPolicy
from kern.session_state import changes_of
from kern.values.canonical import canonical_json
from kern.values.principals import Principal
from kern.values.tenants import DEFAULT_TENANT

# The next number of a session that has one run.
_SECOND = 2


def accept(
    tx: Session,
    request: RunRequest,
    *,
    component_kind: str,
    initial_state: dict[str, JsonValue],
    now: datetime,
    run_id: str,
    session_id: str,
    attachments: Sequence[Attachment] = (),
    worker_policy: DeclaredPolicy | None = None,
    requester: Principal | None = None,
    tenant: str = DEFAULT_TENANT,
    caller: str | None = None,
) -> Delivery | None:
    """Insert a run with what came with its input, and what starts it.

    `worker_policy`, that of the accepting process, is pinned on the run; it is in the `tenant`.
    `caller` is the run whose code asks, behind which the run never waits.
    None when the same run was accepted before, or waits for another run of its session.

    Raises:
        NotAllowed: the session belongs to somebody else.
        InvalidInput: the session belongs to another component.
        Conflict: the run's id was used before, or it or the session's is taken in another tenant.
        SessionBusy: another run of the session is active, and the request wants no queue.
    """
    # Even for a generated id: the acknowledgement of the commit may have been lost.
    if (existing := run_row(tx, run_id)) is not None:
        _same_run(tx, existing, request, attachments, tenant)
        return None
    _check_not_deleted(tx, request.run_id, tenant)
    session = _session(tx, request, session_id, initial_state, now, tenant=tenant)
    callers = session_queue.callers_of(tx, caller)
    is_queued = session.next_number != _SECOND and session_queue.has_to_wait(
        tx, session_id, run_id, request.on_busy, callers
    )
    run = new_row(
        RUNS,
        id=run_id,
        session_id=session.id,
        tenant=session.tenant,
        user_id=session.user_id,
        requester=_stored(requester),
        component_id=request.component_id,
        component_kind=component_kind,
        number=session.next_number - 1,
        is_queued=is_queued,
        callers=callers or None,
        last_event=1,
        is_streamed=request.stream,
        policy=None if worker_policy is None else policies.store(tx, worker_policy, now, tenant),
        shape=_shape(worker_policy, request.component_id),
        input=request.input,
        dependencies=request.dependencies,
        run_metadata=request.metadata,
        created_at=now,
        updated_at=now,
    )
    add_row(tx, RUNS, run)
    _add_input(tx, run, files.store(tx, session, attachments, now))
    append(tx, run, "run_accepted", now, number=run.number, queued=is_queued)
    if request.session_state:
        change_state(tx, lifecycle.lock(tx, run_id), changes_of(request.session_state), now)
    return None if is_queued else outbox.enqueue(tx, run, DeliveryKind.start, now)


def _add_input(tx: Session, run: RunRecord, file_ids: list[str] | None) -> None:
    add(
        tx,
        MESSAGES,
        run_id=run.id,
        turn=0,
        position=0,
        role="user",
        content=run.input,
        files=file_ids,
        created_at=run.created_at,
    )


def _stored(requester: Principal | None) -> dict[str, JsonValue] | None:
    return None if requester is None else requester.model_dump(mode="json")


def _session(
    tx: Session,
    request: RunRequest,
    session_id: str,
    initial_state: dict[str, JsonValue],
    now: datetime,
    *,
    tenant: str,
) -> SessionRecord:
    """Return the run's session, with the run's number taken: the next one is one higher."""
    # An id that was generated for this run is known to nobody else.
    session = None if request.session_id is None else session_queue.lock_session(tx, session_id)
    if session is not None:
        viewer = Viewer(request.user_id, component_id=request.component_id, tenant=tenant)
        viewer.check(
            session,
            _taken("session_id", session_id),
            subject=f"Session {session_id!r}",
            component_id=session.component_id,
        )
        session.next_number, session.updated_at = session.next_number + 1, now
        return session
    session = new_row(
        SESSIONS,
        id=session_id,
        tenant=tenant,
        user_id=request.user_id,
        component_id=request.component_id,
        state=initial_state,
        next_number=2,
        created_at=now,
        updated_at=now,
    )
    add_row(tx, SESSIONS, session)
    return session


def _shape(worker_policy: DeclaredPolicy | None, component_id: str) -> str | None:
    """Return the digest of the shape that a workflow's run is pinned to; None for other runs."""
    if worker_policy is None or component_id not in worker_policy.policy.components:
        return None
    return worker_policy.policy.components[component_id].shape


def _same_run(
    tx: Session,
    existing: RunRecord,
    request: RunRequest,
    attachments: Sequence[Attachment],
    tenant: str,
) -> None:
    taken = _taken("run_id", existing.id)
    Viewer(request.user_id, tenant=tenant).check(existing, taken, subject=f"Run {existing.id!r}")
    same_session = request.session_id in (None, existing.session_id)
    same_input = (existing.input, existing.component_id) == (request.input, request.component_id)
    same_files = same_session and same_input and files.matches(tx, existing.id, attachments)
    if same_files and _extras_of(tx, existing) == _extras_of_request(request):
        return
    message = (
        f"The run id {existing.id!r} is taken by another run of {existing.component_id!r} with "
        "another input, other files, another session, or another session_state, metadata or "
        "dependencies. Use a new run_id, or none."
    )
    raise Conflict(message)


def _extras_of(tx: Session, run: RunRecord) -> str:
    """Return a run's state changes, metadata and dependencies as canonical JSON, to compare.

    The second event of a run has the state that it was accepted with.
    """
    events = [row for row in events_of(tx, run.id)[:2] if row.kind == "session_state_changed"]
    changes = events[0].data["changes"] if events else []
    return canonical_json([changes, dict(run.run_metadata), dict(run.dependencies)])


def _extras_of_request(request: RunRequest) -> str:
    changes: list[JsonValue] = [
        change.model_dump(mode="json", exclude={"seen"})
        for change in changes_of(request.session_state)
    ]
    return canonical_json([changes, request.metadata, request.dependencies])


def _taken(name: str, value: str) -> Conflict:
    """Return the error for an id that another tenant has: whose it is, is nobody else's affair."""
    return Conflict(f"The {name} {value!r} is taken. Choose another {name}, or leave it out.")


def _check_not_deleted(tx: Session, run_id: str | None, tenant: str) -> None:
    """Refuse an id whose run was deleted: the request may be a late repetition.

    Without an id of its own, a run has one that is new.
    """
    deleted_tenant = None if run_id is None else tenant_of_deleted(tx, run_id)
    if run_id is None or deleted_tenant is None:
        return
    if deleted_tenant != tenant:
        raise _taken("run_id", run_id)
    message = (
        f"The run id {run_id!r} was used by a run that was deleted with its session. Use a new "
        "run_id, or none."
    )
    raise Conflict(message)
