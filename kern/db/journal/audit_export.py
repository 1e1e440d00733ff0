"""Writes the log of decisions as lines of JSON, for verifying it without Kern.

The format is described in docs/reference/audit-export.md; `examples/verify_audit.py` reads it.
Lines are read page by page, each in a transaction of its own: whoever reads them slowly holds no
snapshot. What was there at the beginning bounds what is exported.
"""

import json
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import bindparam, select, tuple_
from sqlmodel import Session

from kern.db.engine.columns import as_stored
from kern.db.engine.plain_rows import execute, rows
from kern.db.engine.records import DecisionRecord, SealRecord
from kern.db.engine.typed_tables import CHAIN_HEADS, DECISIONS, SEALS
from kern.db.journal import audit_chain, seals
from kern.db.journal.hash_chains import GENESIS
from kern.errors import AuditBroken

FORMAT = 1
PAGE = 500
_decisions, _heads, _seals = (DECISIONS.table, CHAIN_HEADS.table, SEALS.table)
_LAST_DECISION = select(_heads.c.seq).where(_heads.c.root_run_id == bindparam("root_run_id"))
_LAST_SEAL = (
    select(_seals.c.hash)
    .where(_seals.c.root_run_id == bindparam("root_run_id"), _seals.c.seq <= bindparam("last_seq"))
    .order_by(_seals.c.seq.desc())
    .limit(1)
)
_NEXT_DECISIONS = (
    select(*as_stored(_decisions))
    .where(
        tuple_(_decisions.c.root_run_id, _decisions.c.seq)
        > tuple_(bindparam("after_run_id"), bindparam("after_seq"))
    )
    .order_by(_decisions.c.root_run_id, _decisions.c.seq)
    .limit(PAGE)
)
_NEXT_OF_RUN = (
    select(*as_stored(_decisions))
    .where(
        _decisions.c.root_run_id == bindparam("after_run_id"),
        _decisions.c.seq > bindparam("after_seq"),
        _decisions.c.seq <= bindparam("last_seq"),
    )
    .order_by(_decisions.c.seq)
    .limit(PAGE)
)
_NEXT_SEALS = (
    select(*as_stored(_seals))
    .where(_seals.c.seq > bindparam("after_seq"), _seals.c.seq <= bindparam("last_seq"))
    .order_by(_seals.c.seq)
    .limit(PAGE)
)
_NEXT_SEALS_OF_RUN = _NEXT_SEALS.where(_seals.c.root_run_id == bindparam("root_run_id"))


@dataclass(frozen=True)
class Scope:
    """What is exported: all of the log as it is now, or the part of one root run.

    Attributes:
        root_run_id: The run; None for all.
        head: The hash of the last seal, or of the last one of the run.
        last_seal: The number of the last seal.
        last_decision: The number of the run's last decision, if it is one run's part.
    """

    root_run_id: str | None
    head: str
    last_seal: int
    last_decision: int | None = None


def scope_of(tx: Session, root_run_id: str | None) -> Scope:
    """Return what there is to be exported at this moment."""
    last_seal, head = seals.head_of(tx)
    if root_run_id is None:
        return Scope(None, head, last_seal)
    run = {"root_run_id": root_run_id}
    last_decision: int | None = execute(tx, _LAST_DECISION, **run).scalar()
    own_head: str | None = execute(tx, _LAST_SEAL, **run, last_seq=last_seal).scalar()
    return Scope(root_run_id, own_head or GENESIS, last_seal, last_decision or 0)


def next_decisions(tx: Session, scope: Scope, after: DecisionRecord | None) -> list[DecisionRecord]:
    """Return the decisions of the next page, in the order of their chains."""
    seq = 0 if after is None else after.seq
    if scope.root_run_id is None:
        run_id = "" if after is None else after.root_run_id
        page = rows(tx, DECISIONS, _NEXT_DECISIONS, after_run_id=run_id, after_seq=seq)
    else:
        values = {"after_seq": seq, "last_seq": scope.last_decision}
        page = rows(tx, DECISIONS, _NEXT_OF_RUN, after_run_id=scope.root_run_id, **values)
    return list(page)


def next_seals(tx: Session, scope: Scope, after: SealRecord | None) -> list[SealRecord]:
    """Return the seals of the next page, in their order."""
    values: dict[str, object] = {
        "after_seq": 0 if after is None else after.seq,
        "last_seq": scope.last_seal,
    }
    if scope.root_run_id is None:
        return list(rows(tx, SEALS, _NEXT_SEALS, **values))
    return list(rows(tx, SEALS, _NEXT_SEALS_OF_RUN, root_run_id=scope.root_run_id, **values))


def first_line(scope: Scope) -> str:
    """Return the line with which an export begins."""
    return _line({"type": "log", "format": FORMAT, "run": scope.root_run_id})


def last_line(scope: Scope, lines: int) -> str:
    """Return the line that shows that none of the lines before it is missing."""
    return _line({"type": "end", "lines": lines, "head": scope.head})


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
