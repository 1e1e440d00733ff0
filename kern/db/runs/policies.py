"""Policies in the database: stored once under their digest, and pinned on runs.

The transaction that accepts a run stores its policy; the runs inside it have the same. A policy
never changes, so a process writes each at most once, and reads each at most once.
"""

from datetime import datetime
from functools import lru_cache
from weakref import WeakKeyDictionary

from pydantic import JsonValue
from sqlalchemy import bindparam, event, select
from sqlmodel import Session

from kern.contracts.policy import ComponentPolicy, Policy, differences
from kern.db.engine.mutable_rows import MutableRun
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import POLICIES, RUNS
from kern.db.runs.frames import store_shape
from kern.errors import NotFound
from kern.pipeline.strictness import DeclaredPolicy
from kern.values.canonical import digest
from kern.values.states import RunStatus
from kern.values.tenants import DEFAULT_TENANT

_policies, _runs = POLICIES.table, RUNS.table
# Each tenant has a row of its own, with the same content unless one was changed.
_POLICY = select(_policies.c.policy).where(_policies.c.digest == bindparam("digest")).distinct()
_ACTIVE = [status.value for status in RunStatus if not status.is_final]
_UNFINISHED = (
    select(_runs.c.policy)
    .where(_runs.c.status.in_(_ACTIVE), _runs.c.policy.is_not(None))
    .distinct()
)
_HAS_POLICY = select(_policies.c.digest).where(
    _policies.c.digest == bindparam("digest"), _policies.c.tenant == bindparam("tenant")
)

_MOST_REMEMBERED = 4096
# The tenants and digests that each database is known to have, by its engine.
_stored: WeakKeyDictionary[object, set[tuple[str, str]]] = WeakKeyDictionary()


def store(
    tx: Session, worker_policy: DeclaredPolicy, now: datetime, tenant: str = DEFAULT_TENANT
) -> str:
    """Store a policy with its shapes, unless the tenant has it; return its digest."""
    policy_digest = worker_policy.policy.digest
    digests = _stored.setdefault(tx.get_bind(), set())
    if (tenant, policy_digest) in digests:
        return policy_digest
    if execute(tx, _HAS_POLICY, digest=policy_digest, tenant=tenant).first() is None:
        for shape in worker_policy.shapes:
            store_shape(tx, shape, now)
        add(
            tx,
            POLICIES,
            digest=policy_digest,
            tenant=tenant,
            version=worker_policy.policy.version,
            policy=worker_policy.policy.pinned,
            created_at=now,
        )
    event.listen(
        tx, "after_commit", lambda _: _remember(digests, (tenant, policy_digest)), once=True
    )
    return policy_digest


def _remember(digests: set[tuple[str, str]], stored: tuple[str, str]) -> None:
    # Agents that are made per request may each have a policy of its own.
    if len(digests) >= _MOST_REMEMBERED:
        digests.clear()
    digests.add(stored)


def note_executing(
    tx: Session, run: MutableRun, worker_policy: DeclaredPolicy | None, now: datetime
) -> None:
    """Note which policy the worker declares that executes a run, if it is not the pinned one.

    A run that has none, since a version without policies accepted it, is pinned to the worker's.
    """
    if worker_policy is None:
        return
    if run.policy is None:
        run.policy = store(tx, worker_policy, now, run.tenant)
    present = worker_policy.policy
    if present.digest != run.policy:
        pinned = component_policy(tx, run.policy, run.component_id)
        executing = present.components.get(run.component_id)
        if pinned is None or executing is None or differences(pinned, executing):
            run.executed_policy = store(tx, worker_policy, now, run.tenant)
            return
    run.executed_policy = None


def read(tx: Session, policy_digest: str | None) -> Policy | None:
    """Return the policy of a digest, which is the same in every tenant; None for none.

    Raises:
        NotFound: there is no such policy, or not with the content that has the digest.
    """
    if policy_digest is None:
        return None
    cached = _cached(policy_digest)
    if not cached:
        cached.append(Policy.read(_content(tx, policy_digest)))
    return cached[0]


def _content(tx: Session, policy_digest: str) -> dict[str, JsonValue]:
    """Return the stored content that has the digest.

    Raises:
        NotFound: there is none, which a changed one is, too.
    """
    contents = execute(tx, _POLICY, digest=policy_digest).scalars().all()
    for content in contents:
        if digest(content) == policy_digest:
            intact: dict[str, JsonValue] = content
            return intact
    raise NotFound(_fault_in(policy_digest, is_stored=bool(contents)))


def _fault_in(policy_digest: str, *, is_stored: bool) -> str:
    refusal = "nothing is executed of a run without the policy that it pinned"
    if is_stored:
        return (
            f"The policy {policy_digest!r} was changed in the database: its content does not have "
            f"its digest, and {refusal}. Restore its row in the table kern_policies."
        )
    return (
        f"There is no policy with the digest {policy_digest!r}: {refusal}. Restore the table "
        "kern_policies."
    )


def fault_of(tx: Session, policy_digest: str) -> str | None:
    """Say what is wrong with a policy as it is stored; None if it can be gone by.

    The rows are read, whatever this process remembers of them.
    """
    try:
        _content(tx, policy_digest)
    except NotFound as error:
        return str(error)
    return None


def faults(tx: Session) -> list[str]:
    """Say what is wrong with the policies of runs that have not ended."""
    digests = sorted(execute(tx, _UNFINISHED).scalars())
    return [fault for item in digests if (fault := fault_of(tx, item)) is not None]


def component_policy(
    tx: Session, policy_digest: str | None, component_id: str
) -> ComponentPolicy | None:
    """Return what a run pinned for a component; None if it pinned nothing for it."""
    policy = read(tx, policy_digest)
    return None if policy is None else policy.components.get(component_id)


def intact_policy(tx: Session, policy_digest: str) -> Policy | None:
    """As `read`, and None for a policy that is missing or was changed: for what only reports."""
    try:
        return read(tx, policy_digest)
    except NotFound:
        return None


def intact_component_policy(
    tx: Session, policy_digest: str | None, component_id: str
) -> ComponentPolicy | None:
    """As `component_policy`, and None if the policy is missing or was changed."""
    policy = None if policy_digest is None else intact_policy(tx, policy_digest)
    return None if policy is None else policy.components.get(component_id)


@lru_cache(maxsize=256)
def _cached(policy_digest: str) -> list[Policy]:  # noqa: ARG001  the key of the cache
    return []
