"""What stood in the database, at the model and in the ledger at one moment, and after the end."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import Session, col, or_, select

from kern.db.engine.records import RunRecord
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.store import Store
from kern.db.engine.tables import (
    DecisionRow,
    EventRow,
    MessageRow,
    OutboxRow,
    RunRow,
    SessionRow,
    ToolCallRow,
)
from kern.db.runs import lifecycle
from tests.support.crash_app import is_summary, read
from tests.support.crash_spec import Line
from tests.support.model_server import ModelServer

FINAL = {"completed", "cancelled", "error"}


@dataclass(frozen=True)
class Rows:
    """Everything that SQL holds of one run; `run` is None where it was never accepted."""

    run: RunRecord | None = None
    session: SessionRow | None = None
    messages: list[MessageRow] = field(default_factory=list)
    calls: list[ToolCallRow] = field(default_factory=list)
    requirements: list[RequirementRow] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)

    @property
    def answers(self) -> set[int]:
        """The turns whose answers are stored."""
        return {message.turn for message in self.messages if message.role == "assistant"}

    def call(self, tool_call_id: str | None) -> ToolCallRow:
        """Return one call."""
        return next(call for call in self.calls if call.id == tool_call_id)


@dataclass(frozen=True)
class Snapshot:
    """A run as a death left it; `summaries` counts how often one was asked for."""

    rows: Rows
    asked: Counter[int]
    lines: list[Line]
    summaries: int = 0

    @property
    def running(self) -> set[tuple[str, str]]:
        """The calls, each with its attempt, of which the database says that they have begun."""
        return {
            (call.id, call.token or "")
            for call in self.rows.calls
            if call.status == "running" and call.begun_at is not None
        }


def rows_of(tx: Session, run_id: str) -> Rows:
    """Read a run under its lock: a transaction that a death left behind has ended then."""
    if tx.get(RunRow, run_id) is None:
        return Rows()
    run = lifecycle.lock(tx, run_id)
    return Rows(
        run=run,
        session=tx.get(SessionRow, run.session_id),
        messages=list(tx.exec(select(MessageRow).where(MessageRow.run_id == run_id))),
        calls=list(tx.exec(select(ToolCallRow).where(ToolCallRow.run_id == run_id))),
        requirements=list(tx.exec(select(RequirementRow).where(RequirementRow.run_id == run_id))),
        decisions=list(
            tx.exec(
                select(DecisionRow)
                .where(DecisionRow.run_id == run_id)
                .order_by(col(DecisionRow.seq))
            )
        ),
        events=list(
            tx.exec(select(EventRow).where(EventRow.run_id == run_id).order_by(col(EventRow.seq)))
        ),
        outbox=list(tx.exec(select(OutboxRow).where(OutboxRow.run_id == run_id))),
    )


def look(tx: Session, run_id: str) -> tuple[str | None, list[RequirementRow], bool]:
    """Read where a run stands, what it waits for, and whether something is to be delivered.

    With all of the runs inside it.
    """
    status = tx.exec(select(RunRow.status).where(RunRow.id == run_id)).first()
    waiting = select(RequirementRow).where(
        RequirementRow.root_run_id == run_id, RequirementRow.status == "pending"
    )
    inside = select(RunRow.id).where(or_(RunRow.id == run_id, RunRow.root_run_id == run_id))
    undelivered = tx.exec(select(OutboxRow.id).where(col(OutboxRow.run_id).in_(inside))).first()
    return status, list(tx.exec(waiting)), undelivered is not None


def child_of(tx: Session, run_id: str) -> str | None:
    """Return the run inside a run, if there is one."""
    return tx.exec(select(RunRow.id).where(RunRow.parent_run_id == run_id)).first()


def asked(models: ModelServer, text: str) -> Counter[int]:
    """Count how often the model was asked for each turn of the run that said `text`."""
    # The list only grows, by appending.
    return Counter(one.turn + 1 for one in list(models.requests) if one.user_text == text)


async def snapshot(
    db: Store, models: ModelServer, run_id: str, text: str, ledger: Path
) -> Snapshot:
    """Take down how a run stands."""
    rows = await db.write(lambda tx: rows_of(tx, run_id))
    mine = {call.id for call in rows.calls}
    lines = [line for line in read(ledger) if line.tool_call_id in mine]
    summaries = sum(is_summary(one) and text in one.user_text for one in list(models.requests))
    return Snapshot(rows, asked(models, text), lines, summaries)
