"""Seals: they link the chains of all runs, and whatever happens to them is found."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from kern.db.engine.plain_rows import insert_deferred
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.seal_tables import SealHeadRow, SealRow, UnsealedRow
from kern.db.engine.stores import MemoryStore
from kern.db.engine.unit_of_work import save
from kern.db.journal import audit_chain, seals, verification
from kern.db.journal.audit_chain import NewDecision
from kern.errors import AuditBroken
from kern.values.states import Verdict
from tests.support.log_tampering import message_about, rolled_back
from tests.support.raw_sql import execute_sql
from tests.support.templates import memory_with_tables

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
GENESIS = "0" * 64
RUNS = ("a", "b", "c")
Tamper = Callable[[SealRow], object]
CHANGES: dict[str, Tamper] = {
    "seq": lambda row: setattr(row, "seq", row.seq + 100),
    "version": lambda row: setattr(row, "version", 2),
    "root_run_id": lambda row: setattr(row, "root_run_id", "x"),
    "chain_seq": lambda row: setattr(row, "chain_seq", row.chain_seq + 100),
    "chain_hash": lambda row: setattr(row, "chain_hash", "x"),
    "at": lambda row: setattr(row, "at", row.at + timedelta(microseconds=1)),
    "previous_hash": lambda row: setattr(row, "previous_hash", "x"),
    "hash": lambda row: setattr(row, "hash", "x"),
}
# Which runs are decided about before each round of the sealer.
rounds = st.lists(st.lists(st.sampled_from(RUNS), min_size=1, max_size=4), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def store() -> Iterator[MemoryStore]:
    with closing(memory_with_tables()) as memory:
        yield memory


def decide(tx: Session, run_id: str) -> None:
    """Append a decision to a run's chain, and write it."""
    number = len(audit_chain.decisions_of(tx, f"r-{run_id}"))
    decision = NewDecision(Verdict.approve, f"p{number}", None, "d")
    earlier = audit_chain.decisions_of(tx, f"r-{run_id}")
    audit_chain.append(tx, requirement(run_id), decision, earlier, NOW)
    save(tx)
    insert_deferred(tx)


def requirement(run_id: str) -> RequirementRow:
    return RequirementRow(
        id=f"r-{run_id}",
        run_id=run_id,
        session_id="s",
        kind="confirmation",
        tool_name="refund",
        arguments={},
        digest="d",
        arguments_schema={},
        fields=[],
        choices=[],
        candidates=[],
        excluded=[],
        created_at=NOW,
    )


def seal(tx: Session) -> int:
    count = seals.seal(tx, NOW)
    save(tx)
    return count


def play(tx: Session, decided: list[list[str]]) -> list[SealRow]:
    for runs in decided:
        for run_id in runs:
            decide(tx, run_id)
        assert seal(tx) == len(runs)
    return rows_of(tx)


def rows_of(tx: Session) -> list[SealRow]:
    return list(tx.exec(select(SealRow).order_by(col(SealRow.seq))))


def broken_by(
    store: MemoryStore, decided: list[list[str]], tamper: Callable[[Session], object]
) -> str:
    """Return what `verify` says of a log that somebody tampered with."""
    return message_about(store, lambda tx: play(tx, decided), tamper)


@settings(max_examples=20)
@given(decided=rounds)
def test_every_seal_proves_what_came_before_it(
    store: MemoryStore, decided: list[list[str]]
) -> None:
    def look(tx: Session) -> None:
        rows = play(tx, decided)
        assert len(rows) == sum(len(set(runs)) for runs in decided), "one a run and round"
        report = verification.verify(tx)
        total = sum(map(len, decided))
        assert (report.decisions, report.seals, report.unsealed) == (total, len(rows), 0)
        assert report.head == rows[-1].hash
        for head in [GENESIS, *(row.hash for row in rows)]:
            assert verification.verify(tx, head) == report
            seals.require_head(tx, head)
        for run_id in {run_id for runs in decided for run_id in runs}:
            part = verification.verify_run(tx, run_id)
            assert part.decisions == sum(runs.count(run_id) for runs in decided)
        with pytest.raises(AuditBroken, match="not part of the log"):
            verification.verify(tx, "f" * 64)
        with pytest.raises(AuditBroken, match="no seal of the log of decisions has this hash"):
            seals.require_head(tx, "f" * 64)

    rolled_back(store, look)


def test_decisions_that_no_seal_covers_are_counted(store: MemoryStore) -> None:
    def look(tx: Session) -> None:
        play(tx, [["a"]])
        for run_id in ("a", "b", "b"):
            decide(tx, run_id)
        report = verification.verify(tx)
        assert (report.decisions, report.unsealed, report.unsealed_since) == (4, 3, NOW)
        assert verification.verify_run(tx, "b").unsealed == 2
        assert verification.verify_run(tx, "a").seals == 1

    rolled_back(store, look)


def test_sealing_again_adds_nothing(store: MemoryStore) -> None:
    def look(tx: Session) -> None:
        before = play(tx, [["a", "b"]])
        assert not seals.is_any_unsealed(tx)
        assert seal(tx) == 0
        assert rows_of(tx) == before

    rolled_back(store, look)


def test_more_than_a_batch_is_sealed_in_several(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "BATCH", 2)

    def look(tx: Session) -> None:
        for run_id in ("a", "b", "b", "b", "c"):
            decide(tx, run_id)
        assert [seal(tx) for _ in range(4)] == [2, 2, 1, 0]
        sealed = [(row.root_run_id, row.chain_seq) for row in rows_of(tx)]
        assert sealed == [("a", 1), ("b", 1), ("b", 3), ("c", 1)]
        assert verification.verify(tx).unsealed == 0

    rolled_back(store, look)


@pytest.mark.parametrize("column", CHANGES)
@settings(max_examples=6)
@given(decided=rounds, data=st.data())
def test_a_change_of_any_column_of_any_seal_is_found(
    store: MemoryStore, column: str, decided: list[list[str]], data: st.DataObject
) -> None:
    count = sum(len(set(runs)) for runs in decided)
    number = data.draw(st.integers(0, count - 1))
    message = broken_by(store, decided, lambda tx: CHANGES[column](rows_of(tx)[number]))
    assert "seal" in message.lower()


@settings(max_examples=20)
@given(decided=rounds, data=st.data())
def test_a_seal_that_was_removed_is_found(
    store: MemoryStore, decided: list[list[str]], data: st.DataObject
) -> None:
    count = sum(len(set(runs)) for runs in decided)
    number = data.draw(st.integers(1, count))

    def remove(tx: Session) -> None:
        execute_sql(tx, "DELETE FROM kern_seals WHERE seq = :seq", seq=number)

    message = broken_by(store, decided, remove)
    expected = "seals are missing at its end" if number == count else f"Seal {number} is missing"
    assert expected in message


def test_a_seal_that_was_written_anew_is_found_by_the_next(store: MemoryStore) -> None:
    def forge(tx: Session) -> None:
        first = rows_of(tx)[0]
        first.at += timedelta(hours=1)
        first.hash = seals.hash_of(first)

    message = broken_by(store, [["a"], ["b"]], forge)
    assert "broken before seal 2" in message


def test_the_chain_of_one_run_does_not_pass_for_that_of_another(store: MemoryStore) -> None:
    def look(tx: Session) -> None:
        decide(tx, "a")
        for table in ("kern_decisions", "kern_chain_heads", "kern_unsealed"):
            execute_sql(tx, f"UPDATE {table} SET root_run_id = 'b'")  # noqa: S608  three tables
        with pytest.raises(AuditBroken, match=r"decision 1 of run 'b'.*was changed"):
            verification.verify(tx)

    rolled_back(store, look)


def test_a_seal_added_at_the_end_is_found(store: MemoryStore) -> None:
    def add(tx: Session) -> None:
        last, (first, _) = rows_of(tx)[-1], audit_chain.decisions_of(tx, "r-a")
        added = SealRow.model_validate(last.model_dump())
        added.seq, added.previous_hash = last.seq + 1, last.hash
        added.chain_seq, added.chain_hash = first.seq, first.hash
        added.hash = seals.hash_of(added)
        tx.add(added)

    assert "or were added by hand" in broken_by(store, [["a", "a"]], add)


def test_a_chain_that_was_cut_or_removed_is_found(store: MemoryStore) -> None:
    def cut(tx: Session) -> None:
        (first,) = (row for row in audit_chain.decisions_of(tx, "r-a") if row.seq == 1)
        execute_sql(tx, "DELETE FROM kern_decisions WHERE seq = 2")
        execute_sql(tx, "UPDATE kern_chain_heads SET seq = 1, hash = :hash", hash=first.hash)

    def remove(tx: Session) -> None:
        execute_sql(tx, "DELETE FROM kern_decisions WHERE root_run_id = 'a'")
        execute_sql(tx, "DELETE FROM kern_chain_heads WHERE root_run_id = 'a'")

    assert "has 1 decisions, and had 2 when seal 1" in broken_by(store, [["a", "a"]], cut)
    assert "has 0 decisions, and had 1 when seal 1" in broken_by(store, [["a", "b"]], remove)


def test_a_log_that_was_rewritten_as_a_whole_is_found_by_a_head_noted_before(
    store: MemoryStore,
) -> None:
    def look(tx: Session) -> None:
        noted = play(tx, [["a"], ["b"]])[-1].hash
        previous = GENESIS
        for row in rows_of(tx):
            row.at, row.previous_hash = row.at + timedelta(hours=1), previous
            row.hash = previous = seals.hash_of(row)
        tx.exec(select(SealHeadRow)).one().hash = previous
        tx.flush()
        assert verification.verify(tx).head == previous
        with pytest.raises(AuditBroken, match="rewritten since"):
            verification.verify(tx, noted)

    rolled_back(store, look)


def test_a_log_without_its_end_seals_nothing_and_does_not_verify(store: MemoryStore) -> None:
    def look(tx: Session) -> None:
        decide(tx, "a")
        execute_sql(tx, "DELETE FROM kern_seal_head")
        for act in (seal, verification.verify):
            with pytest.raises(AuditBroken, match="kern_seal_head"):
                act(tx)
        assert len(tx.exec(select(UnsealedRow)).all()) == 1

    rolled_back(store, look)
