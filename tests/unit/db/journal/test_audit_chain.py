"""The chain of a run's decisions: any change, removal, addition or reordering is found."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import Session, col, select

from kern.db.engine import unit_of_work
from kern.db.engine.plain_rows import insert_deferred
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.stores import MemoryStore
from kern.db.engine.tables import ChainHeadRow, DecisionRow
from kern.db.journal import audit_chain, seals, verification
from kern.db.journal.audit_chain import NewDecision
from kern.errors import AuditBroken
from kern.values.ids import new_id
from kern.values.states import Verdict
from tests.support.log_tampering import message_about, rolled_back
from tests.support.templates import memory_with_tables

ROOT = "root"
NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
GENESIS = "0" * 64
Tamper = Callable[[DecisionRow], object]


def other_text(name: str) -> Tamper:
    return lambda row: setattr(row, name, f"{getattr(row, name) or ''}x")


CHANGES: dict[str, Tamper] = {
    **{
        name: other_text(name)
        for name in (
            *(
                "id",
                "requirement_id",
                "run_id",
                "root_run_id",
                "kind",
                "verdict",
                "actor",
                "note",
                "tool_name",
            ),
            *("digest", "hash", "previous_hash", "issuer", "subject", "principal_kind", "tenant"),
            *("salt", "text_digest"),
        )
    },
    "groups": lambda row: setattr(row, "groups", [*row.groups, "finance"]),
    "version": lambda row: setattr(row, "version", row.version + 1),
    "position": lambda row: setattr(row, "position", row.position + 1),
    "edit": lambda row: setattr(row, "edit", {**(row.edit or {}), "more": 1}),
    "given": lambda row: setattr(row, "given", [row.given]),
    "at": lambda row: setattr(row, "at", row.at + timedelta(microseconds=1)),
}
objects = st.dictionaries(st.text("ab", min_size=1), st.integers(-9, 9) | st.text("ab"), max_size=2)
decisions = st.builds(
    NewDecision,
    verdict=st.sampled_from(Verdict),
    actor=st.text("abä", min_size=1, max_size=3),
    note=st.none() | st.text("ab\n", max_size=3),
    digest=st.text("0f", min_size=1, max_size=4),
    edit=st.none() | objects,
    given=st.none() | st.text("ab") | objects,
)
chains = st.lists(decisions, min_size=1, max_size=5)


@pytest.fixture(scope="module")
def store() -> Iterator[MemoryStore]:
    with closing(memory_with_tables()) as memory:
        yield memory


def requirement(number: int) -> RequirementRow:
    return RequirementRow(
        id=f"r{number}",
        run_id=f"run{number}",
        root_run_id=ROOT,
        session_id="s",
        kind="confirmation",
        tool_name=None if number % 2 else "refund",
        arguments={},
        digest="d",
        arguments_schema={},
        fields=[],
        choices=[],
        candidates=[],
        excluded=[],
        created_at=NOW,
    )


def append_all(tx: Session, decided: list[NewDecision]) -> None:
    """Append decisions about requirements of one tree, one after the other."""
    for number, decision in enumerate(decided):
        at = NOW + timedelta(seconds=number)
        audit_chain.append(tx, requirement(number), decision, [], at)
    save(tx)


def save(tx: Session) -> None:
    """Write what the transaction holds, so that statements see it."""
    unit_of_work.save(tx)
    insert_deferred(tx)
    tx.flush()


def rows_of(tx: Session) -> list[DecisionRow]:
    return list(tx.exec(select(DecisionRow).order_by(col(DecisionRow.seq))))


def broken_by(
    store: MemoryStore, decided: list[NewDecision], tamper: Callable[[Session], object]
) -> str:
    """Return what `verify` says of a chain that somebody tampered with."""
    return message_about(store, lambda tx: append_all(tx, decided), tamper)


@settings(max_examples=20)
@given(decided=st.lists(decisions, max_size=5))
def test_a_chain_that_nobody_touched_verifies(
    store: MemoryStore, decided: list[NewDecision]
) -> None:
    def look(tx: Session) -> None:
        append_all(tx, decided)
        hashes = [row.hash for row in rows_of(tx)]
        assert verification.verify(tx).decisions == len(decided)
        report = verification.verify_run(tx, ROOT)
        assert (report.decisions, report.head) == (len(decided), [GENESIS, *hashes][-1])

    rolled_back(store, look)


@pytest.mark.parametrize("column", CHANGES)
@settings(max_examples=6)
@given(decided=chains, data=st.data())
def test_a_change_of_any_column_of_any_decision_is_found(
    store: MemoryStore, column: str, decided: list[NewDecision], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(decided) - 1))
    message = broken_by(store, decided, lambda tx: CHANGES[column](rows_of(tx)[number]))
    if column == "root_run_id":
        assert "of run 'root" in message, "it is missing in one chain, and too many in another"
    else:
        assert f"decision {number + 1} of run" in message


@settings(max_examples=20)
@given(decided=chains, data=st.data())
def test_a_decision_that_was_removed_is_found(
    store: MemoryStore, decided: list[NewDecision], data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(decided)))

    def remove(tx: Session) -> None:
        tx.connection().execute(
            text("DELETE FROM kern_decisions WHERE seq = :seq"), {"seq": number}
        )

    message = broken_by(store, decided, remove)
    if len(decided) == 1:
        assert "'root' should have 1 decisions, and has none" in message
    elif number == len(decided):
        assert "decisions are missing at its end" in message
    else:
        assert f"Decision {number} is missing before decision {number + 1} of run" in message


@settings(max_examples=20)
@given(decided=st.lists(decisions, min_size=2, max_size=5), data=st.data())
def test_a_decision_that_was_removed_is_found_when_the_others_close_up(
    store: MemoryStore, decided: list[NewDecision], data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(decided) - 1))

    def remove(tx: Session) -> None:
        execute = tx.connection().execute
        execute(text("DELETE FROM kern_decisions WHERE seq = :seq"), {"seq": number})
        for seq in range(number + 1, len(decided) + 1):
            execute(text("UPDATE kern_decisions SET seq = seq - 1 WHERE seq = :seq"), {"seq": seq})
        execute(text("UPDATE kern_chain_heads SET seq = seq - 1"))

    assert f"broken before decision {number} of run" in broken_by(store, decided, remove)


@settings(max_examples=20)
@given(decided=st.lists(decisions, min_size=2, max_size=5), data=st.data())
def test_two_decisions_that_changed_places_are_found(
    store: MemoryStore, decided: list[NewDecision], data: st.DataObject
) -> None:
    places = st.integers(1, len(decided))
    first, second = sorted(data.draw(st.lists(places, min_size=2, max_size=2, unique=True)))

    def swap(tx: Session) -> None:
        for old, new in ((first, -1), (second, first), (-1, second)):
            move = text("UPDATE kern_decisions SET seq = :new WHERE seq = :old")
            tx.connection().execute(move, {"new": new, "old": old})

    assert f"broken before decision {first} of run" in broken_by(store, decided, swap)


@settings(max_examples=20)
@given(decided=chains)
def test_a_decision_added_at_the_end_is_found(
    store: MemoryStore, decided: list[NewDecision]
) -> None:
    def add(tx: Session) -> None:
        last = rows_of(tx)[-1]
        added = DecisionRow.model_validate(last.model_dump())
        added.seq, added.id, added.position = last.seq + 1, new_id(), last.position + 1
        added.previous_hash = last.hash
        added.hash = audit_chain.hash_of(added)
        tx.add(added)

    assert "or were added by hand" in broken_by(store, decided, add)


@settings(max_examples=20)
@given(decided=chains)
def test_a_chain_that_was_rewritten_is_found_by_its_seal(
    store: MemoryStore, decided: list[NewDecision]
) -> None:
    def look(tx: Session) -> None:
        append_all(tx, decided)
        rewrite(tx)
        assert verification.verify(tx).decisions == len(decided), "nothing had been sealed"
        seals.seal(tx, NOW)
        save(tx)
        rewrite(tx)
        for verify in (verification.verify, lambda tx: verification.verify_run(tx, ROOT)):
            with pytest.raises(AuditBroken, match="decisions were rewritten"):
                verify(tx)

    rolled_back(store, look)


def rewrite(tx: Session) -> None:
    """Write all decisions anew, in another name, so that they fit together."""
    previous = GENESIS
    for row in rows_of(tx):
        row.actor, row.previous_hash = f"{row.actor}x", previous
        row.hash = previous = audit_chain.hash_of(row)
    tx.exec(select(ChainHeadRow)).one().hash = previous
    tx.flush()


def test_a_text_that_moves_to_the_next_column_changes_the_hash(store: MemoryStore) -> None:
    decided = [
        NewDecision(Verdict.approve, actor, note, "d") for actor, note in (("ab", "c"), ("a", "bc"))
    ]

    def look(tx: Session) -> None:
        append_all(tx, decided)
        first, second = rows_of(tx)
        for name in ("seq", "id", "requirement_id", "run_id", "tool_name", "at", "previous_hash"):
            setattr(second, name, getattr(first, name))
        assert audit_chain.hash_of(first) != audit_chain.hash_of(second)

    rolled_back(store, look)


def test_a_chain_without_its_end_takes_no_decision(store: MemoryStore) -> None:
    decided = NewDecision(Verdict.approve, "dana", None, "d")

    def look(tx: Session) -> None:
        append_all(tx, [decided])
        tx.connection().execute(text("DELETE FROM kern_chain_heads"))
        with pytest.raises(AuditBroken, match="somebody removed it"):
            audit_chain.lock_chain(tx, ROOT)
        with pytest.raises(AuditBroken, match="somebody removed it"):
            verification.verify(tx)

    rolled_back(store, look)


def test_decisions_about_a_requirement_are_read_in_their_order(store: MemoryStore) -> None:
    decided = [NewDecision(Verdict.approve, actor, None, "d") for actor in "abc"]

    def look(tx: Session) -> None:
        for decision in decided:
            earlier = audit_chain.decisions_of(tx, "r0")
            audit_chain.append(tx, requirement(0), decision, earlier, NOW)
            save(tx)
        found = audit_chain.decisions_of(tx, "r0")
        assert [(row.position, row.actor) for row in found] == [(1, "a"), (2, "b"), (3, "c")]
        assert audit_chain.decisions_of(tx, "r1") == []

    rolled_back(store, look)
