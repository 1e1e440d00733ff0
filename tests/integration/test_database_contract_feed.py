"""The feed: what concerns people, in an order in which nobody misses anything."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlmodel import Session

from kern.contracts.answers import NewCall
from kern.contracts.feed import FeedEntry
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import deliveries
from kern.db.engine.stores import SqliteStore
from kern.db.journal import feed
from kern.db.reading.feed_pages import entries_after
from kern.db.runs import lifecycle
from kern.db.sessions import deletions
from kern.requirements import Requirement
from kern.tools import Approval
from kern.values.ids import new_id
from kern.values.principals import Principal
from kern.values.states import Verdict
from tests.support.lost_acknowledgements import each_commit_unheard
from tests.support.stored_runs import NOW, Stored, after, question

SECONDS = 30


def number(stored: Stored) -> int:
    return stored.do(feed.number)


def head(stored: Stored) -> int:
    """Number what earlier tests have left, and return the last number."""
    while number(stored):
        pass
    return stored.look(feed.head_of)[0]


def since(stored: Stored, seq: int, viewer: Viewer = OPERATOR) -> list[FeedEntry]:
    number(stored)
    return stored.look(lambda tx: entries_after(tx, seq, 1000, viewer))


def kinds(entries: list[FeedEntry], requirement: Requirement) -> list[str]:
    return [entry.kind for entry in entries if entry.requirement_id == requirement.id]


def test_the_life_of_a_decision_is_in_the_feed(stored: Stored) -> None:
    seq = head(stored)
    requirement = stored.gated(approval=Approval(quorum=2))
    stored.resolve(requirement, by="dana")
    accepted = stored.resolve(requirement, by="ravi")
    delivery = accepted.delivery
    assert delivery is not None
    assert requirement.tool_call_id is not None
    for _ in range(2):
        # However often it is confirmed, it was delivered once.
        stored.do(lambda tx: deliveries.confirm(tx, delivery, after(2)))
    stored.begin(requirement.tool_call_id)
    stored.finish(requirement.tool_call_id)
    entries = since(stored, seq)
    expected = ["opened", "approved", "resolved", "delivered", "executing", "done"]
    assert kinds(entries, requirement) == expected
    assert [entry.seq for entry in entries] == list(range(seq + 1, seq + 1 + len(entries)))
    resolved = entries[2]
    assert (resolved.data["verdict"], resolved.data["by"]) == ("approve", "ravi")
    assert resolved.text == "ravi approved it at 03:02:01 UTC."
    assert (resolved.run_id, resolved.component_id) == (requirement.run_id, "agent")


def test_what_ends_without_a_decision_is_in_the_feed(stored: Stored) -> None:
    seq = head(stored)
    requirement = stored.gated()
    stored.do(lambda tx: lifecycle.cancel(tx, requirement.run_id, OPERATOR, NOW))
    entries = since(stored, seq)
    assert kinds(entries, requirement) == ["opened", "cancelled"]
    assert entries[-1].kind == "run_cancelled"


def test_an_unknown_outcome_is_said_of_what_was_asked_before(stored: Stored) -> None:
    seq = head(stored)
    requirement = stored.gated()
    stored.resolve(requirement)
    assert requirement.tool_call_id is not None
    stored.begin(requirement.tool_call_id, "first")
    stored.begin(requirement.tool_call_id, "second")
    entries = since(stored, seq)
    assert kinds(entries, requirement) == ["opened", "resolved", "executing", "unknown"]
    assert kinds(entries, stored.requirement(requirement.tool_call_id)) == ["opened"]


def test_a_withdrawn_approval_is_in_the_feed(stored: Stored) -> None:
    seq = head(stored)
    requirement = stored.gated()
    stored.resolve(requirement, by="dana")
    stored.resolve(requirement, Verdict.withdraw, by="dana")
    assert kinds(since(stored, seq), requirement) == ["opened", "resolved", "withdrawn"]


def test_nothing_that_was_rolled_back_is_in_the_feed(stored: Stored) -> None:
    seq = head(stored)
    requirement = stored.gated()
    number(stored)

    def fail(tx: Session) -> None:
        lifecycle.cancel(tx, requirement.run_id, OPERATOR, NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stored.do(fail)
    assert kinds(since(stored, seq), requirement) == ["opened"]


def test_a_commit_that_comes_late_has_a_later_number(stored: Stored) -> None:
    """Whoever has read up to a number finds what was written before and committed after it."""
    if isinstance(stored.database, SqliteStore):
        pytest.skip("SQLite has one writer at a time")
    late, early = stored.gated(), stored.gated()
    seq = head(stored)
    written, may_commit = threading.Event(), threading.Event()

    def cancel_late(tx: Session) -> None:
        lifecycle.cancel(tx, late.run_id, OPERATOR, NOW)
        written.set()
        assert may_commit.wait(SECONDS)

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(stored.do, cancel_late)
        assert written.wait(SECONDS)
        stored.do(lambda tx: lifecycle.cancel(tx, early.run_id, OPERATOR, NOW))
        first = since(stored, seq)
        may_commit.set()
        writing.result(SECONDS)
    assert {entry.run_id for entry in first} == {early.run_id}
    second = since(stored, first[-1].seq)
    assert {entry.run_id for entry in second} == {late.run_id}
    assert second[0].seq == first[-1].seq + 1


def test_a_frozen_numberer_stops_nobody(stored: Stored) -> None:
    if isinstance(stored.database, SqliteStore):
        pytest.skip("SQLite has one writer at a time")
    requirement = stored.gated()
    numbered, may_commit = threading.Event(), threading.Event()

    def freeze(tx: Session) -> int:
        count = feed.number(tx)
        numbered.set()
        assert may_commit.wait(SECONDS)
        return count

    with ThreadPoolExecutor(1) as threads:
        frozen = threads.submit(stored.do, freeze)
        assert numbered.wait(SECONDS)
        stored.resolve(requirement)
        # Another one does not wait for it either.
        assert number(stored) == 0
        may_commit.set()
        assert frozen.result(SECONDS)


def test_a_reader_beside_many_writers_and_numberers_misses_nothing(stored: Stored) -> None:
    start = head(stored)
    is_over = threading.Event()
    numbers: list[int] = []

    def repeat(act: Callable[[], object]) -> None:
        while not is_over.is_set():
            act()
        act()

    def read() -> None:
        last = numbers[-1] if numbers else start
        entries = stored.look(lambda tx: entries_after(tx, last, 7))
        numbers.extend(entry.seq for entry in entries)

    def cancel(run_id: str) -> None:
        stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, NOW))

    def write() -> None:
        for _ in range(8):
            cancel(stored.gated().run_id)

    with ThreadPoolExecutor(8) as threads:
        beside = [
            threads.submit(repeat, read),
            *(threads.submit(repeat, lambda: number(stored)) for _ in range(2)),
        ]
        for writing in [threads.submit(write) for _ in range(4)]:
            writing.result(SECONDS)
        is_over.set()
        for item in beside:
            item.result(SECONDS)
    while len(numbers) < head(stored) - start:
        read()
    # Each writer opens and cancels 8 requirements, and ends 8 runs.
    assert numbers == list(range(start + 1, start + 1 + 4 * 8 * 3))


def test_a_numbering_whose_commit_nobody_heard_of_numbers_once(stored: Stored) -> None:
    seq = head(stored)
    requirement = stored.gated()
    with each_commit_unheard():
        stored.do(feed.number)
    entries = since(stored, seq)
    assert kinds(entries, requirement) == ["opened"]
    assert head(stored) == entries[-1].seq


def test_what_is_old_is_deleted_and_its_last_number_remains(stored: Stored) -> None:
    stored.gated()
    old = head(stored)
    young = stored.call(question(), user_id="ann", at=after(100))
    stored.resolve(stored.requirement(young), at=after(100))
    number(stored)
    while stored.do(lambda tx: feed.prune(tx, after(50), most_seq=old)):
        pass
    assert stored.look(feed.head_of)[1] <= old
    assert not [entry for entry in since(stored, 0) if entry.at < after(50) and entry.seq <= old]
    assert [entry.kind for entry in since(stored, old)][-1] == "resolved"


def test_nobody_reads_of_another_tenant(stored: Stored) -> None:
    seq = head(stored)
    run_id, _ = stored.accept(tenant="acme", user_id="ann")
    stored.answer(run_id, NewCall("c1", "refund", {"amount": 1}, question=question()))
    entries = since(stored, seq)
    assert {entry.tenant for entry in entries} == {"acme"}
    other = Viewer(is_operator=True, tenant="globex")
    assert since(stored, seq, other) == []
    mine = Viewer(user_id="ann", tenant="acme")
    assert [entry.kind for entry in since(stored, seq, mine)] == ["opened"]
    assert since(stored, seq, Viewer(user_id="bob", tenant="acme")) == []


def test_an_entry_knows_whom_it_concerns(stored: Stored) -> None:
    seq = head(stored)
    stored.gated(approval=Approval(candidates=("dana", "group:leads"), excluded="mia"))
    (entry,) = since(stored, seq)

    def someone(name: str, *groups: str) -> Principal:
        return Principal(issuer="test", subject=name, name=name, groups=groups)

    assert entry.audience.includes(someone("Dana"))
    assert entry.audience.includes(someone("ravi", "leads"))
    assert not entry.audience.includes(someone("ravi"))
    assert not entry.audience.includes(someone("mia", "leads"))


def test_a_deleted_session_leaves_nothing_in_the_feed(stored: Stored) -> None:
    seq, session_id = head(stored), new_id()
    run_id, _ = stored.accept(session_id=session_id)
    stored.answer(run_id, NewCall("c1", "refund", {"amount": 1}, question=question()))
    assert since(stored, seq)
    stored.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, NOW + timedelta(1)))
    assert since(stored, seq) == []
