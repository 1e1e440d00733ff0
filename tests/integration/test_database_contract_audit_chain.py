"""The database contract: the chains of decisions and their seals, on every database."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest
from sqlmodel import Session, col, func, select

from kern.contracts.reports import AuditReport
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted
from kern.db.engine.seal_tables import SealHeadRow, SealRow, UnsealedRow
from kern.db.engine.tables import ChainHeadRow, DecisionRow
from kern.db.journal import audit_chain, seals, verification
from kern.db.sessions import deletions
from kern.errors import AuditBroken
from kern.requirements import Requirement, submitted_digest
from kern.tools import Approval
from kern.values.states import RequirementStatus, Verdict
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import NAMES, Stored, after, at_once, opened

GENESIS = "0" * 64


@pytest.fixture(params=NAMES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(request.param, tmp_path) as database:
        yield database


@pytest.fixture
def on_postgres(tmp_path: Path) -> Iterator[Stored]:
    """Rows are locked there, where SQLite has one writer at a time."""
    with opened("postgres", tmp_path) as database:
        yield database


@pytest.fixture(params=NAMES, scope="module")
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stored]:
    """A run with three decisions, another one with one, and a seal of each."""
    with opened(request.param, tmp_path_factory.mktemp("db")) as database:
        seen = shared(database)
        for number in range(3):
            database.resolve(seen, by=f"p{number}", edit={"amount": number}, at=after(number))
        sealed(database)
        database.resolve(database.gated())
        sealed(database)
        yield database


def shared(stored: Stored) -> Requirement:
    """Make a run that waits for many people."""
    return stored.gated(approval=Approval(quorum=20))


def sealed(stored: Stored) -> int:
    return stored.do(lambda tx: seals.seal(tx, after(9)))


def verified(stored: Stored, head: str | None = None) -> AuditReport:
    return stored.look(lambda tx: verification.verify(tx, head))


def longest(stored: Stored) -> str:
    """Return the run with the most decisions."""
    query = select(ChainHeadRow.root_run_id).order_by(col(ChainHeadRow.seq).desc())
    run_id = stored.look(lambda tx: tx.exec(query).first())
    assert run_id is not None
    return run_id


def test_a_log_that_nobody_touched_verifies_from_every_seal(fresh: Stored) -> None:
    assert verified(fresh) == AuditReport(decisions=0, head=GENESIS)
    reports, seen = [verified(fresh)], shared(fresh)
    for number in range(4):
        edit = {"amount": number} if number % 2 else None
        fresh.resolve(seen, by=f"p{number}", note=None if number % 3 else "ä\n", edit=edit)
        fresh.resolve(fresh.gated())
        assert verified(fresh).unsealed == 2
        assert sealed(fresh) == 2
        reports.append(verified(fresh))
    assert [report.decisions for report in reports] == [0, 2, 4, 6, 8]
    assert [report.seals for report in reports] == [0, 2, 4, 6, 8]
    assert reports[-1].unsealed == 0
    for report in reports:
        assert verified(fresh, report.head) == reports[-1]
    part = fresh.look(lambda tx: verification.verify_run(tx, seen.run_id))
    assert (part.decisions, part.seals, part.unsealed) == (4, 4, 0)


def test_a_noted_head_that_is_not_in_the_log_is_found(fresh: Stored) -> None:
    fresh.resolve(fresh.gated())
    with pytest.raises(AuditBroken, match="not part of the log"):
        verified(fresh, "f" * 64)


def test_each_chain_begins_at_one_and_its_end_stays_when_its_session_is_deleted(
    fresh: Stored,
) -> None:
    runs = [fresh.gated() for _ in range(2)]
    for seen in runs:
        fresh.resolve(seen, note="private")
    sealed(fresh)
    rows = fresh.look(lambda tx: tx.exec(select(DecisionRow)).all())
    assert {(row.root_run_id, row.seq) for row in rows} == {(seen.run_id, 1) for seen in runs}
    before, session_id = verified(fresh), fresh.output(runs[0].run_id).session_id
    fresh.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, after(9)))
    assert verified(fresh) == before
    assert len(fresh.look(lambda tx: tx.exec(select(ChainHeadRow)).all())) == 2
    for run_id in (seen.run_id for seen in runs):
        root = fresh.look(lambda tx, run_id=run_id: verification.root_run_id_of(tx, run_id))  # type: ignore[misc]
        assert root == run_id


COLUMNS = ("id", "run_id", "kind", "verdict", "actor", "note", "tool_name", "digest", "hash")
RESOLVED = "UPDATE kern_requirements SET {} WHERE status = 'resolved'"
SECOND = "UPDATE kern_decisions SET {} WHERE seq = 2"


@pytest.mark.parametrize(
    "changes",
    [
        *([SECOND.format(f"{column} = 'x'")] for column in COLUMNS),
        [SECOND.format("root_run_id = 'x'")],
        [SECOND.format("previous_hash = 'x'")],
        [SECOND.format("edit = NULL")],
        [SECOND.format("given = '1'")],
        *([SECOND.format(f"edit = '{text}'")] for text in ('"zz"', "5", "[1]", "no JSON", "NaN")),
        [SECOND.format("""edit = '[["amount",1]]'""")],
        [SECOND.format("given = 'no JSON'")],
        [SECOND.format("groups = 'no JSON'")],
        [SECOND.format("groups = '5'")],
        [SECOND.format("position = 7")],
        [SECOND.format("at = '2026-01-01 00:00:00'")],
        ["DELETE FROM kern_decisions WHERE seq = 1"],
        ["DELETE FROM kern_decisions WHERE seq = 2"],
        ["DELETE FROM kern_decisions WHERE seq = 3"],
        ["DELETE FROM kern_decisions"],
        ["DELETE FROM kern_decisions", "DELETE FROM kern_chain_heads"],
        ["DELETE FROM kern_chain_heads"],
        ["UPDATE kern_chain_heads SET seq = 2"],
        ["UPDATE kern_chain_heads SET hash = 'x'"],
        ["UPDATE kern_seal_head SET seq = 1"],
        ["UPDATE kern_seal_head SET hash = 'x'"],
        ["UPDATE kern_seals SET chain_hash = 'x' WHERE seq = 1"],
        ["UPDATE kern_seals SET root_run_id = 'x' WHERE seq = 1"],
        ["DELETE FROM kern_seals WHERE seq = 1"],
        ["DELETE FROM kern_seals WHERE seq = 2"],
        ["DELETE FROM kern_seals"],
        *(
            [RESOLVED.format(change)]
            for change in (
                "resolved_by = 'mallory'",
                "resolved_by = NULL",
                "resolved_note = 'as discussed'",
                "verdict = 'reject'",
                "verdict = NULL",
                "resolved_at = '2026-01-01 00:00:00'",
                "status = 'expired'",
                "status = 'cancelled'",
                "status = 'pending'",
            )
        ),
        ["UPDATE kern_requirements SET resolved_by = 'p1' WHERE status = 'pending'"],
        ["UPDATE kern_requirements SET verdict = 'approve' WHERE status = 'pending'"],
        [
            "UPDATE kern_decisions SET seq = 9 WHERE seq = 1",
            "UPDATE kern_decisions SET seq = 1 WHERE seq = 2",
            "UPDATE kern_decisions SET seq = 2 WHERE seq = 9",
        ],
    ],
)
def test_each_kind_of_tampering_is_found(chain: Stored, changes: list[str]) -> None:
    def tamper(tx: Session, verify: Callable[[Session], object]) -> None:
        for change in changes:
            execute_sql(tx, change)
        verify(tx)

    # A tenant's part, here all there is, is verified by the same rules.
    for verify in (verification.verify, lambda tx: verification.verify_tenant(tx, "")):
        with pytest.raises(AuditBroken):
            chain.do(partial(tamper, verify=verify))
    assert verified(chain).decisions == 4, "what was tampered with was rolled back"


def test_a_decision_added_behind_the_last_is_found(chain: Stored) -> None:
    def add(tx: Session) -> None:
        last = tx.exec(select(DecisionRow).where(DecisionRow.seq == 3)).one()
        added = DecisionRow.model_validate(last.model_dump())
        added.seq, added.id, added.position, added.previous_hash = 4, "added", 4, last.hash
        added.hash = audit_chain.hash_of(added)
        tx.add(added)
        tx.flush()
        verification.verify(tx)

    with pytest.raises(AuditBroken, match="added by hand"):
        chain.do(add)


def test_an_end_that_does_not_follow_from_what_was_before_is_found(chain: Stored) -> None:
    def unhinge(tx: Session) -> None:
        last = tx.exec(select(DecisionRow).where(DecisionRow.seq == 3)).one()
        last.previous_hash = GENESIS
        last.hash = tx.get_one(ChainHeadRow, last.root_run_id).hash = audit_chain.hash_of(last)
        tx.flush()
        verification.verify(tx)

    with pytest.raises(AuditBroken, match="does not follow from the decision before"):
        chain.do(unhinge)


def rewrite_chain(tx: Session, run_id: str) -> None:
    """Write a run's decisions anew, in another name, so that they fit together."""
    previous = GENESIS
    query = select(DecisionRow).where(DecisionRow.root_run_id == run_id)
    for row in tx.exec(query.order_by(col(DecisionRow.seq))):
        row.actor, row.previous_hash = "eve", previous
        row.hash = previous = audit_chain.hash_of(row)
    tx.get_one(ChainHeadRow, run_id).hash = previous
    tx.flush()


def test_a_chain_rewritten_from_its_start_is_found_by_its_seal(chain: Stored) -> None:
    run_id = longest(chain)
    for verify in (verification.verify, lambda tx: verification.verify_run(tx, run_id)):

        def rewrite(tx: Session, verify: Callable[[Session], object] = verify) -> None:
            rewrite_chain(tx, run_id)
            verify(tx)

        with pytest.raises(AuditBroken, match="its first 3 decisions were rewritten"):
            chain.do(rewrite)


def test_a_log_rewritten_with_its_seals_is_found_by_a_head_noted_elsewhere(chain: Stored) -> None:
    noted, run_id = verified(chain).head, longest(chain)

    def rewrite(tx: Session) -> None:
        rewrite_chain(tx, run_id)
        previous = GENESIS
        for row in tx.exec(select(SealRow).order_by(col(SealRow.seq))):
            if row.root_run_id == run_id:
                row.chain_hash = tx.get_one(ChainHeadRow, run_id).hash
            row.previous_hash = previous
            row.hash = previous = seals.hash_of(row)
        tx.exec(select(SealHeadRow)).one().hash = previous
        tx.flush()
        verification.verify(tx)
        verification.verify(tx, noted)

    with pytest.raises(AuditBroken, match="rewritten since"):
        chain.do(rewrite)


def test_decisions_of_one_run_made_at_once_stand_in_one_chain(fresh: Stored) -> None:
    seen = shared(fresh)
    act = [partial(fresh.resolve, seen, by=f"p{number}") for number in range(8)]
    outcomes = at_once(act)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    part = fresh.look(lambda tx: verification.verify_run(tx, seen.run_id))
    assert part.decisions == verified(fresh).decisions == 8


def test_decisions_of_different_runs_do_not_wait_for_each_other(on_postgres: Stored) -> None:
    locked = shared(on_postgres)
    on_postgres.resolve(locked)
    seen = [on_postgres.gated() for _ in range(16)]
    sealed(on_postgres)
    with Session(on_postgres.database.engine) as holder:
        # As a process that was frozen in its transaction.
        audit_chain.lock_chain(holder, locked.run_id)
        outcomes = at_once([partial(on_postgres.resolve, requirement) for requirement in seen])
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
        assert sealed(on_postgres) == 16, "the sealer does not wait either"
    report = verified(on_postgres)
    assert (report.decisions, report.unsealed) == (17, 0)


def test_no_decision_waits_for_a_sealer(on_postgres: Stored) -> None:
    seen = shared(on_postgres)
    on_postgres.resolve(seen)
    with Session(on_postgres.database.engine) as holder:
        assert seals.seal(holder, after(1)) == 1
        on_postgres.resolve(seen, by="eli")
        assert sealed(on_postgres) == 0, "another sealer holds the end of the log"
    assert verified(on_postgres).unsealed == 2, "the first sealer died before its commit"
    assert sealed(on_postgres) == 2
    assert verified(on_postgres).seals == 1


def test_many_sealers_at_once_seal_everything_once(fresh: Stored) -> None:
    for _ in range(12):
        fresh.resolve(fresh.gated())
    work: list[Callable[[], object]] = [partial(sealed, fresh)] * 4
    work += [partial(fresh.resolve, fresh.gated()) for _ in range(4)]
    at_once(work)
    sealed(fresh)
    report = verified(fresh)
    assert (report.decisions, report.seals, report.unsealed) == (16, 16, 0)


def test_two_first_decisions_in_one_tree_make_one_chain(fresh: Stored) -> None:
    for _ in range(5):
        team, _ = fresh.accept(kind="team")
        seen = [fresh.gated() for _ in range(2)]
        for requirement in seen:
            for table, key in (("kern_runs", "id"), ("kern_requirements", "run_id")):
                fresh.sql(
                    f"UPDATE {table} SET root_run_id = :team WHERE {key} = :run",  # noqa: S608
                    team=team,
                    run=requirement.run_id,
                )
        outcomes = at_once([partial(fresh.resolve, requirement) for requirement in seen])
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
        part = fresh.look(lambda tx, team=team: verification.verify_run(tx, team))  # type: ignore[misc]
        assert part.decisions == 2


DYING = """
import os, signal, sys
from datetime import UTC, datetime
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.engine.stores import store_from_url
from kern.db.journal import seals
from kern.process import checkpoints
from kern.requirements import DecisionDraft
from kern.values.states import Verdict

url, point, *requirement = sys.argv[1:]
now = datetime.now(UTC)

def die(reached):
    if reached == point:
        os.kill(os.getpid(), signal.SIGKILL)

def decide(tx):
    draft = DecisionDraft(verdict=Verdict.approve)
    deciding.resolve(tx, deciding.Submission(*requirement, draft, "dana"), OPERATOR, now)

checkpoints.arm(die)
store_from_url(url).write_now(decide if requirement else lambda tx: seals.seal(tx, now))
"""
POINTS = {"write.before_commit": False, "write.after_commit": True}


def die(stored: Stored, point: str, *requirement: str) -> None:
    """Have another process decide, or seal, and kill itself at a point of its transaction."""
    url = stored.database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", DYING, url, point, *requirement]
    assert subprocess.run(command, check=False, timeout=60).returncode == -SIGKILL


@pytest.mark.parametrize("point", POINTS)
def test_who_decides_and_is_killed_has_decided_and_left_it_to_be_sealed_or_nothing(
    fresh: Stored, point: str
) -> None:
    seen, count = fresh.gated(), int(POINTS[point])
    die(fresh, point, seen.id, submitted_digest(seen))
    report = verified(fresh)
    assert (report.decisions, report.unsealed) == (count, count)
    assert sealed(fresh) == count
    assert verified(fresh).unsealed == 0


@pytest.mark.parametrize("point", POINTS)
def test_a_sealer_that_is_killed_has_sealed_everything_or_nothing(
    fresh: Stored, point: str
) -> None:
    for _ in range(2):
        fresh.resolve(fresh.gated())
    die(fresh, point)
    count = 2 * POINTS[point]
    assert verified(fresh).seals == count
    assert sealed(fresh) == 2 - count
    report = verified(fresh)
    assert (report.decisions, report.seals, report.unsealed) == (2, 2, 0)


def test_finding_nothing_to_seal_costs_one_look_at_an_empty_table(fresh: Stored) -> None:
    for _ in range(3):
        fresh.resolve(fresh.gated())
    sealed(fresh)
    assert not fresh.look(seals.is_any_unsealed)
    count = select(func.count()).select_from(UnsealedRow)
    assert fresh.look(lambda tx: tx.exec(count).one()) == 0


def test_a_requirement_that_says_something_else_than_the_log_is_found_for_its_run(
    fresh: Stored,
) -> None:
    sound, changed = fresh.gated(), fresh.gated()
    for seen in (sound, changed):
        fresh.resolve(seen, note="as agreed")
    fresh.sql("UPDATE kern_requirements SET resolved_by = 'mallory' WHERE id = :id", id=changed.id)
    fresh.look(lambda tx: verification.verify_run(tx, sound.run_id))
    with pytest.raises(AuditBroken, match=r"by 'mallory', and the log has 'approve' by 'dana'"):
        fresh.look(lambda tx: verification.verify_run(tx, changed.run_id))


def test_what_was_withdrawn_or_expired_verifies(fresh: Stored) -> None:
    withdrawn, expired = fresh.gated(), fresh.gated(approval=Approval(due=timedelta(minutes=1)))
    fresh.resolve(withdrawn)
    fresh.resolve(withdrawn, Verdict.withdraw, at=after(1))
    fresh.do(lambda tx: deciding.expire(tx, expired.id, after(90)))
    assert fresh.output(expired.run_id).requirements[0].status is RequirementStatus.expired
    assert verified(fresh).decisions == 3
