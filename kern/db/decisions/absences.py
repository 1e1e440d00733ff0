"""Absences: people say until when they are away. Nothing of it decides, or keeps anybody from it.

There is one for each principal, and it is about no run: so it is a row, and no event. What is over
counts no more, and is deleted when somebody else of the tenant says that they are away.
"""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, union
from sqlmodel import Session

from kern.contracts.triage import Absence, AbsencePage
from kern.db.decisions.entitlement import check_name
from kern.db.engine.columns import UtcDateTime
from kern.db.engine.cursors import Place, decode, encode
from kern.db.engine.plain_rows import add, execute
from kern.db.engine.typed_tables import ABSENCES
from kern.errors import NotAllowed
from kern.values.names import name_key
from kern.values.principals import Principal
from kern.values.states import PrincipalKind

# Ids are derived from principals in a space of their own.
_PRINCIPALS = uuid.UUID("0b9e7f52-5f0c-5d0b-8f6e-3c1f6a1f4a83")
_absences = ABSENCES.table
_now = bindparam("now", type_=UtcDateTime)
_of_tenant = _absences.c.tenant == bindparam("of_tenant")
_ABSENCE_OF_ID = _absences.select().where(_absences.c.id == bindparam("of_id"))
_END = _absences.delete().where(_absences.c.id == bindparam("of_id"))
_FORGET = _absences.delete().where(_of_tenant, _absences.c.until <= _now)
_is_present = (_absences.c.since <= _now) & (_absences.c.until > _now)
_PRESENT = _absences.select().where(_is_present).order_by(_absences.c.until, _absences.c.id)
_keys: BindParameter[str] = bindparam("keys", expanding=True)
# Each part reads a few entries of an index, where an OR reads everybody of the tenant.
_ABSENCES_OF_KEYS = union(
    *(
        _absences.select().where(_of_tenant, key.in_(_keys), _is_present)
        for key in (_absences.c.key, _absences.c.subject_key)
    )
)


def begin(
    tx: Session,
    principal: Principal,
    *,
    until: datetime,
    since: datetime | None,
    note: str | None,
    now: datetime,
) -> Absence:
    """Note that somebody is away; what they said before is replaced.

    Without `since` it begins now, or has begun as they said before.

    Raises:
        NotAllowed: it is no person, or acts in Kern's name.
    """
    _check_person(principal)
    present = absence_of(tx, principal, now)
    if since is None:
        since = present.since if present is not None and present.since <= now else now
    absence = Absence(
        by=principal.model_copy(update={"groups": ()}), since=since, until=until, note=note
    )
    if absence == present:
        return absence
    execute(tx, _END, of_id=_id_of(principal))
    execute(tx, _FORGET, of_tenant=principal.tenant, now=now)
    add(
        tx,
        ABSENCES,
        id=_id_of(principal),
        tenant=principal.tenant,
        issuer=principal.issuer,
        subject=principal.subject,
        name=principal.name,
        key=name_key(principal.name),
        subject_key=name_key(principal.subject),
        since=since,
        until=until,
        note=note,
    )
    return absence


def end(tx: Session, principal: Principal, now: datetime) -> bool:
    """End somebody's own absence; whether there was one that was not over.

    Raises:
        NotAllowed: it is no person, or acts in Kern's name.
    """
    _check_person(principal)
    present = absence_of(tx, principal, now)
    execute(tx, _END, of_id=_id_of(principal))
    return present is not None


def absence_of(tx: Session, principal: Principal, now: datetime) -> Absence | None:
    """Return somebody's own absence that is not over, also one that is still to begin."""
    row = execute(tx, _ABSENCE_OF_ID, of_id=_id_of(principal)).first()
    return None if row is None or row.until <= now else _absence(row)


def named(tx: Session, tenant: str, keys: Collection[str], now: datetime) -> list[Absence]:
    """Return who is away of those whose name or id has one of these keys."""
    if not keys:
        return []
    return [
        _absence(row)
        for row in execute(tx, _ABSENCES_OF_KEYS, of_tenant=tenant, keys=sorted(keys), now=now)
    ]


def page(
    tx: Session, tenant: str | None, *, limit: int, cursor: str | None, now: datetime
) -> AbsencePage:
    """Return a page of those who are away now, whoever is back first to begin with.

    Raises:
        InvalidInput: no such page returned the cursor.
    """
    query = _PRESENT.limit(limit + 1)
    if tenant is not None:
        query = query.where(_absences.c.tenant == tenant)
    if cursor is not None:
        place = decode(cursor)
        same = (_absences.c.until == place.at) & (_absences.c.id > place.id)
        query = query.where((_absences.c.until > place.at) | same)
    found = execute(tx, query, now=now).all()
    last = found[limit - 1] if found[limit:] else None
    return AbsencePage(
        absences=[_absence(row) for row in found[:limit]],
        next_cursor=None if last is None else encode(Place(last.until, last.id)),
    )


def _check_person(principal: Principal) -> None:
    check_name(principal)
    if principal.kind is not PrincipalKind.person:
        message = (
            f"{principal.name!r} is of the kind {principal.kind.value!r}: only a person is away. "
            "Nothing was changed."
        )
        raise NotAllowed(message)


def _id_of(principal: Principal) -> str:
    # None of them has a line break.
    name = f"{principal.tenant}\n{principal.issuer}\n{principal.subject}"
    return str(uuid.uuid5(_PRINCIPALS, name))


def _absence(row: Row[Any]) -> Absence:
    by = Principal.model_construct(
        issuer=row.issuer, subject=row.subject, name=row.name, tenant=row.tenant
    )
    return Absence.model_construct(by=by, since=row.since, until=row.until, note=row.note)
