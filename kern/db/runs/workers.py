"""The processes that execute runs, each with the policies that it declares for its components."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlmodel import Session

from kern import __version__
from kern.contracts.policy import differences
from kern.contracts.reports import PolicyDifference, WorkerPolicies
from kern.contracts.stuck import WorkerStatus
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import WORKERS
from kern.db.migrations import HEAD
from kern.db.runs import policies
from kern.pipeline.strictness import DeclaredPolicy
from kern.process.worker_names import GONE_AFTER, worker_name

BEAT_SECONDS = GONE_AFTER.total_seconds() / 4

_workers = WORKERS.table
_BEAT = (
    _workers.update()
    .where(_workers.c.id == bindparam("worker_id"))
    .values(
        policies=bindparam("worker_policy"),
        initial_states=bindparam("states"),
        beat_at=bindparam("now", type_=UtcDateTime),
    )
)
_LEAVE = _workers.delete().where(_workers.c.id == bindparam("worker_id"))
_FORGET = _workers.delete().where(_workers.c.beat_at < bindparam("before", type_=UtcDateTime))
_PRESENT = (
    _workers.select()
    .where(_workers.c.beat_at >= bindparam("since", type_=UtcDateTime))
    .order_by(_workers.c.started_at, _workers.c.id)
)
_ALL = _workers.select().order_by(_workers.c.started_at, _workers.c.id).limit(1000)


@dataclass(frozen=True)
class WorkerIdentity:
    """A process, as people find it again."""

    id: str
    host: str
    process: int
    started_at: datetime


@dataclass(frozen=True)
class ServedComponent:
    """What is known of a component by what a worker reports of it."""

    kind: str
    policy: DeclaredPolicy
    initial_state: dict[str, JsonValue]


def beat(
    tx: Session,
    worker: WorkerIdentity,
    worker_policy: Mapping[str, DeclaredPolicy],
    now: datetime,
    initial_states: Mapping[str, dict[str, JsonValue]] = MappingProxyType({}),
) -> None:
    """Report that a worker is there, and what it declares for each of its components.

    `initial_states` has the state with which sessions begin, of the components that declare one.
    """
    states = dict(initial_states)
    digests = {
        component_id: policies.store(tx, policy, now)
        for component_id, policy in worker_policy.items()
    }
    values = {"worker_id": worker.id, "worker_policy": digests, "states": states, "now": now}
    if execute(tx, _BEAT, **values).rowcount:
        return
    # Rows of workers that were killed.
    execute(tx, _FORGET, before=now - GONE_AFTER)
    add(
        tx,
        WORKERS,
        id=worker.id,
        host=worker.host,
        process=worker.process,
        version=__version__,
        revision=HEAD,
        policies=digests,
        initial_states=states,
        started_at=worker.started_at,
        beat_at=now,
    )


def leave(tx: Session, worker_id: str) -> None:
    """Forget a worker that stops."""
    execute(tx, _LEAVE, worker_id=worker_id)


def present_workers(tx: Session, now: datetime) -> list[WorkerPolicies]:
    """Return the workers that reported lately, the oldest first."""
    return [
        WorkerPolicies(
            name=worker_name(row.process, row.host),
            version=row.version,
            revision=row.revision,
            policies=row.policies,
        )
        for row in execute(tx, _PRESENT, since=now - GONE_AFTER)
    ]


def served_component(tx: Session, component_id: str, now: datetime) -> ServedComponent | None:
    """Return what the worker that started last declares for a component; None if none has it."""
    present = list(execute(tx, _PRESENT, since=now - GONE_AFTER))
    row = next((row for row in reversed(present) if component_id in row.policies), None)
    policy = None if row is None else policies.read(tx, row.policies[component_id])
    if row is None or policy is None:
        return None
    # The worker has stored the shapes with the policy.
    return ServedComponent(
        kind=policy.components[component_id].kind,
        policy=DeclaredPolicy(policy),
        initial_state=row.initial_states.get(component_id, {}),
    )


def known_workers(tx: Session, now: datetime) -> list[WorkerStatus]:
    """Return the workers that did not say that they stop, those that were lost among them."""
    return [
        WorkerStatus(
            name=worker_name(row.process, row.host),
            version=row.version,
            components=sorted(row.policies),
            started_at=row.started_at,
            seen_at=row.beat_at,
            is_present=row.beat_at >= now - GONE_AFTER,
        )
        for row in execute(tx, _ALL)
    ]


def differing(tx: Session, workers: Sequence[WorkerPolicies]) -> list[PolicyDifference]:
    """Return the components for which workers declare different policies."""
    different: list[PolicyDifference] = []
    components = sorted({component for worker in workers for component in worker.policies})
    for component_id in components:
        digests = [
            (worker.name, worker.policies[component_id])
            for worker in workers
            if component_id in worker.policies
        ]
        distinct = list(dict.fromkeys(digest for _, digest in digests))
        if len(distinct) > 1:
            texts = [
                text
                for second in distinct[1:]
                for text in policy_differences(tx, distinct[0], second)
            ]
            # Policies of which people only read other words are no two.
            if texts:
                changes = list(dict.fromkeys(texts))
                different.append(
                    PolicyDifference(component_id=component_id, workers=digests, changes=changes)
                )
    return different


def policy_differences(tx: Session, digest: str, second_digest: str) -> list[str]:
    """Return in words what differs in the components that two policies share, by their ids."""
    policy, second = (policies.intact_policy(tx, item) for item in (digest, second_digest))
    if policy is None or second is None:
        return []
    return [
        f"{component_id}: {text}"
        for component_id in sorted(policy.components.keys() & second.components.keys())
        for text in differences(policy.components[component_id], second.components[component_id])
    ]
