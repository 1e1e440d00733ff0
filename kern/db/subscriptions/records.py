"""Subscriptions as rows: added, listed, changed, and disabled."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from kern.contracts.subscriptions import Subscription, SubscriptionSort
from kern.contracts.viewer import Viewer
from kern.db.engine.mutable_rows import MutableSubscription
from kern.db.engine.plain_rows import add, execute, rows
from kern.db.engine.records import SubscriptionRecord
from kern.db.engine.typed_tables import SUBSCRIPTIONS
from kern.db.engine.unit_of_work import hold
from kern.db.journal import feed
from kern.db.reading.visibility import visible_tenant
from kern.errors import Conflict, NotFound
from kern.values.states import Risk

_table = SUBSCRIPTIONS.table
_BY_ID = _table.select().where(_table.c.id == bindparam("subscription_id"))
_LOCKED = _BY_ID.with_for_update()
_ACTIVE = _table.select().where(_table.c.disabled_at.is_(None)).order_by(_table.c.id)
_ANY_ACTIVE = select(_table.c.id).where(_table.c.disabled_at.is_(None)).limit(1)


@dataclass(frozen=True)
class Secrets:
    """What a subscription keeps encrypted, the present secret first."""

    encrypted: tuple[str, ...]


def store(tx: Session, subscription: Subscription, secret: str) -> None:
    """Keep a new subscription: it gets what is numbered from now on."""
    head, _ = feed.head_of(tx)
    if not is_any_active(tx):
        # While nobody is subscribed, nobody counts how far entries were dispatched.
        feed.skip_dispatched(tx, head)
    values = subscription.model_dump(mode="json", include={"kinds", "components", "tools", "risks"})
    add(
        tx,
        SUBSCRIPTIONS,
        id=subscription.id,
        tenant=subscription.tenant,
        sort=subscription.sort.value,
        label=subscription.label,
        address=subscription.address,
        secret=secret,
        old_secret=None,
        old_secret_until=None,
        recipient=subscription.recipient,
        digest_seconds=subscription.digest_seconds,
        with_content=subscription.with_content,
        since_seq=head,
        created_by=subscription.created_by,
        created_at=subscription.created_at,
        disabled_at=None,
        disabled_why=None,
        **values,
    )


def list_of(tx: Session, viewer: Viewer, sort: SubscriptionSort) -> list[Subscription]:
    """Return the subscriptions of a sort that the viewer's tenant has, in the order of adding."""
    conditions = [*visible_tenant(viewer, _table), _table.c.sort == sort.value]
    query = _table.select().where(*conditions).order_by(_table.c.id)
    return [subscription_of(row) for row in rows(tx, SUBSCRIPTIONS, query)]


def find(
    tx: Session, viewer: Viewer, subscription_id: str, sort: SubscriptionSort
) -> MutableSubscription:
    """Take a subscription in order to change it.

    Raises:
        NotFound: there is none with this id in the viewer's tenant.
    """
    row = hold(tx, SUBSCRIPTIONS, _LOCKED, subscription_id=subscription_id)
    if row is None or row.sort != sort.value or viewer.tenant not in (None, row.tenant):
        message = f"There is no {sort.value} with the id {subscription_id!r}."
        raise NotFound(message)
    return row


def disable(row: MutableSubscription, why: str, now: datetime) -> None:
    """Deliver nothing more to a subscription."""
    if row.disabled_at is None:
        row.disabled_at, row.disabled_why = now, why


def require_active(tx: Session, subscription_id: str) -> None:
    """Refuse what can no longer be sent.

    Raises:
        Conflict: the subscription is disabled; the message says why.
    """
    for row in rows(tx, SUBSCRIPTIONS, _BY_ID, subscription_id=subscription_id):
        if row.disabled_at is not None:
            message = f"The {row.sort} is off, so nothing is sent: {row.disabled_why} Add it anew."
            raise Conflict(message)


def rotate(row: MutableSubscription, secret: str, old_until: datetime) -> None:
    """Replace a secret; the old one signs too, until then."""
    row.old_secret, row.old_secret_until, row.secret = row.secret, old_until, secret


def active(tx: Session) -> list[SubscriptionRecord]:
    """Return the subscriptions to which something is delivered."""
    return list(rows(tx, SUBSCRIPTIONS, _ACTIVE))


def is_any_active(tx: Session) -> bool:
    """Whether something is delivered to anybody."""
    return execute(tx, _ANY_ACTIVE).first() is not None


def read(tx: Session, subscription_id: str) -> SubscriptionRecord | None:
    """Return a subscription, disabled or not; None if it is gone."""
    return next(rows(tx, SUBSCRIPTIONS, _BY_ID, subscription_id=subscription_id), None)


def secrets_of(row: SubscriptionRecord, now: datetime) -> Secrets:
    """Return what signs at a moment."""
    is_old_valid = row.old_secret_until is not None and now < row.old_secret_until
    old = [row.old_secret] if row.old_secret is not None and is_old_valid else []
    return Secrets((row.secret, *old))


def subscription_of(row: SubscriptionRecord) -> Subscription:
    """Return a row as administrators see it."""
    return Subscription(
        id=row.id,
        tenant=row.tenant,
        sort=SubscriptionSort(row.sort),
        label=row.label,
        address=row.address,
        recipient=row.recipient,
        digest_seconds=row.digest_seconds,
        kinds=tuple(row.kinds),
        components=tuple(row.components),
        tools=tuple(row.tools),
        risks=tuple(Risk(risk) for risk in row.risks),
        with_content=row.with_content,
        old_secret_until=row.old_secret_until,
        created_by=row.created_by,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
    )
