"""Writes the log of decisions as lines of JSON, for verifying it without Kern.

The format is described in docs/reference/audit-export.md; `examples/verify_audit.py` reads it.
Lines are read page by page, each in a transaction of its own: whoever reads them slowly holds no
snapshot. What was there at the beginning bounds what is exported.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import JsonValue
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    String,
    bindparam,
    exists,
    func,
    literal,
    select,
    tuple_,
)
from sqlmodel import Session

from kern.db.engine.columns import as_stored
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import DecisionRecord, SealRecord
from kern.db.engine.typed_tables import DECISIONS, SEALS
from kern.db.journal import audit_chain, seals
from kern.db.journal.hash_chains import GENESIS
from kern.errors import AuditBroken

FORMAT = 1
# How many rows are read at once, and of how many chains.
PAGE, CHAINS = 500, 100
_decisions, _seals = (DECISIONS.table, SEALS.table)
_page = bindparam("page", type_=Integer)
_decision_place = tuple_(_decisions.c.root_run_id, _decisions.c.seq)
_seal_place = tuple_(_seals.c.root_run_id, _seals.c.chain_seq)
_after = tuple_(bindparam("after_run_id", type_=String), bindparam("after_seq", type_=Integer))
_ALL_DECISIONS = (
    select(*as_stored(_decisions))
    .where(_decision_place > _after)
    .order_by(_decisions.c.root_run_id, _decisions.c.seq)
    .limit(_page)
)
_of_chains = bindparam("root_run_ids", type_=String, expanding=True)
_DECISIONS = _ALL_DECISIONS.where(_decisions.c.root_run_id.in_(_of_chains))
_NEXT_SEALS = select(*as_stored(_seals)).where(_seals.c.seq <= bindparam("last_seal")).limit(_page)
_ALL_SEALS = _NEXT_SEALS.where(_seals.c.seq > bindparam("after_seq")).order_by(_seals.c.seq)
_SEALS = _NEXT_SEALS.where(_seals.c.root_run_id.in_(_of_chains), _seal_place > _after).order_by(
    _seals.c.root_run_id, _seals.c.chain_seq
)


@dataclass(frozen=True)
class Scope:
    """What is exported: all of the log as it is now, or a part of it.

    Attributes:
        root_run_id: The run whose chain it is; None for all.
        tenant: The tenant whose chains they are; None for all.
        since: Only chains with a decision at this moment or later.
        until: Only chains with a decision before this moment.
        head: The hash of the last seal of the log.
        last_seal: The number of that seal.
    """

    root_run_id: str | None = None
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    head: str = GENESIS
    last_seal: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the log."""
        return {self.root_run_id, self.tenant, self.since, self.until} == {None}


@dataclass(frozen=True)
class ChainPage:
    """The chains whose lines come next.

    Attributes:
        root_run_ids: Their runs.
        last_id: The first decision in the scope of the last chain.
    """

    root_run_ids: tuple[str, ...]
    last_id: str | None = None


def bounded(tx: Session, scope: Scope) -> Scope:
    """Return a scope with the end of the log at this moment.

    Raises:
        AuditBroken: the end is missing.
    """
    last_seal, head = seals.head_of(tx)
    return replace(scope, last_seal=last_seal, head=head)


def next_chains(tx: Session, scope: Scope, after: ChainPage | None) -> ChainPage | None:
    """Return the next chains of a part, in the order of their first decisions in it.

    A chain is exported as a whole: its seals cover it from its beginning. None if none is left.
    """
    if scope.root_run_id is not None:
        return ChainPage((scope.root_run_id,)) if after is None else None
    earlier = _decisions.alias("earlier")
    is_first = ~exists().where(
        earlier.c.root_run_id == _decisions.c.root_run_id,
        earlier.c.seq < _decisions.c.seq,
        # Of no index: SQLite would take that of the times, and read the whole span for each.
        *_in_scope(earlier, scope, func.coalesce(earlier.c.at, earlier.c.at)),
    )
    query = (
        select(_decisions.c.root_run_id, _decisions.c.id)
        .where(*_in_scope(_decisions, scope, _decisions.c.at), is_first)
        .order_by(_decisions.c.at, _decisions.c.id)
        .limit(CHAINS)
    )
    if after is not None:
        # The database compares the time, which may be none after somebody wrote into the table.
        last_at = select(earlier.c.at).where(earlier.c.id == after.last_id).scalar_subquery()
        place = tuple_(last_at, literal(after.last_id))
        query = query.where(tuple_(_decisions.c.at, _decisions.c.id) > place)
    found = execute(tx, query).all()
    return ChainPage(tuple(row.root_run_id for row in found), found[-1].id) if found else None


def _in_scope(
    decisions: FromClause, scope: Scope, at: ColumnElement[datetime]
) -> Iterator[ColumnElement[bool]]:
    if scope.tenant is not None:
        yield decisions.c.tenant == scope.tenant
    if scope.since is not None:
        yield at >= scope.since
    if scope.until is not None:
        yield at < scope.until


def next_decisions(
    tx: Session, chains: ChainPage | None, after: DecisionRecord | None
) -> list[DecisionRecord]:
    """Return the next decisions of chains, or of all, in the order of their chains."""
    values: dict[str, object] = {
        "after_run_id": "" if after is None else after.root_run_id,
        "after_seq": 0 if after is None else after.seq,
        "page": PAGE,
    }
    if chains is None:
        return list(rows(tx, DECISIONS, _ALL_DECISIONS, **values))
    return list(rows(tx, DECISIONS, _DECISIONS, root_run_ids=chains.root_run_ids, **values))


def next_seals(
    tx: Session, scope: Scope, chains: ChainPage | None, after: SealRecord | None
) -> list[SealRecord]:
    """Return the next seals of chains, in the order of their chains; or of all, in their own."""
    values: dict[str, object] = {"last_seal": scope.last_seal, "page": PAGE}
    if chains is None:
        return list(rows(tx, SEALS, _ALL_SEALS, after_seq=after.seq if after else 0, **values))
    values |= {
        "root_run_ids": chains.root_run_ids,
        "after_run_id": "" if after is None else after.root_run_id,
        "after_seq": 0 if after is None else after.chain_seq,
    }
    return list(rows(tx, SEALS, _SEALS, **values))


def first_line(scope: Scope) -> str:
    """Return the line with which an export begins: what it covers."""
    line: dict[str, JsonValue] = {"type": "log", "format": FORMAT, "run": scope.root_run_id}
    times: dict[str, JsonValue] = {
        name: None if moment is None else moment.astimezone(UTC).isoformat()
        for name, moment in (("from", scope.since), ("to", scope.until))
    }
    return _line({**line, "tenant": scope.tenant, **times})


def last_line(lines: int, head: str) -> str:
    """Return the line that shows that none of the lines before it is missing."""
    return _line({"type": "end", "lines": lines, "head": head})


def line_of_decision(row: DecisionRecord, *, with_text: bool) -> str:
    """Return the line of a decision; its texts stand in it only if they are asked for.

    Raises:
        AuditBroken: a column holds what no JSON can, so that somebody changed it.
    """
    line: dict[str, JsonValue] = {
        "type": "decision",
        "content": audit_chain.hashed_content(row),
        "hash": row.hash,
    }
    if with_text and not audit_chain.are_erased(row):
        line["texts"] = audit_chain.texts_of(row)
    return _line_of_row(line, audit_chain.title_of(row))


def line_of_seal(row: SealRecord) -> str:
    """Return the line of a seal.

    Raises as `line_of_decision`.
    """
    line: dict[str, JsonValue] = {
        "type": "seal",
        "content": seals.hashed_content(row),
        "hash": row.hash,
    }
    return _line_of_row(line, seals.title_of(row))


def _line_of_row(line: dict[str, JsonValue], title: str) -> str:
    try:
        return _line(line)
    except (ValueError, TypeError, RecursionError) as error:
        message = (
            f"The content of {title} was changed after it was written, into what is no JSON: "
            "the export ends before it, and is not complete. `kern audit verify` names the first "
            "decision or seal that was changed."
        )
        raise AuditBroken(message) from error


def _line(value: dict[str, JsonValue]) -> str:
    # In ASCII, so that no terminal and no encoding changes it on its way.
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
