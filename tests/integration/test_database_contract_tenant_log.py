"""The database contract: each tenant verifies its part of the log of decisions, and no other."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlmodel import Session

from kern.contracts.reports import AuditReport
from kern.contracts.viewer import OPERATOR
from kern.db.engine.seal_tables import SealHeadRow, SealRow
from kern.db.engine.tables import DecisionRow
from kern.db.journal import audit_chain, seals, verification
from kern.db.sessions import deletions
from kern.errors import AuditBroken
from kern.requirements import Requirement
from kern.tools import Approval
from tests.support.audit_exports import seal
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import NAMES, Stored, after, opened, question


@dataclass(frozen=True)
class TwoTenants:
    """The log of two tenants.

    Attributes:
        voted: A run of acme's with three decisions.
        approved: Another of acme's, with one.
        foreign: A run of globex's with two.
    """

    stored: Stored
    voted: Requirement
    approved: Requirement
    foreign: Requirement


def gated(stored: Stored, tenant: str) -> Requirement:
    """Make a run in a tenant, which waits for many people."""
    asked = question(approval=Approval(quorum=20))
    return stored.requirement(stored.call(asked, user_id="ann", tenant=tenant))


@pytest.fixture(params=NAMES, scope="module")
def two(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoTenants]:
    """Seals of acme, acme, globex, acme and globex; the last decision of acme has none."""
    with opened(request.param, tmp_path_factory.mktemp("db")) as stored:
        voted, foreign = gated(stored, "acme"), gated(stored, "globex")
        approved = stored.requirement(stored.call(question(), user_id="ann", tenant="acme"))
        for seen, by in ((voted, "p0"), (approved, "p0"), (foreign, "p0"), (voted, "p1")):
            stored.resolve(seen, by=by, note="secret", at=after(1))
            seal(stored)
        stored.resolve(foreign, by="p1")
        seal(stored)
        stored.resolve(voted, by="p2")
        yield TwoTenants(stored, voted, approved, foreign)


def verified(stored: Stored, tenant: str, head: str | None = None) -> AuditReport:
    return stored.look(lambda tx: verification.verify_tenant(tx, tenant, head))


def test_each_tenant_counts_its_own_and_has_the_head_of_the_whole_log(two: TwoTenants) -> None:
    whole = two.stored.look(verification.verify)
    assert (whole.decisions, whole.seals, whole.tenant) == (6, 5, None)
    acme, globex = verified(two.stored, "acme"), verified(two.stored, "globex")
    assert (acme.decisions, acme.seals, acme.unsealed, acme.tenant) == (4, 3, 1, "acme")
    assert (globex.decisions, globex.seals, globex.unsealed) == (2, 2, 0)
    assert acme.head == globex.head == whole.head
    nothing = verified(two.stored, "initech")
    assert (nothing.decisions, nothing.seals, nothing.head) == (0, 0, whole.head)


def test_a_head_noted_earlier_may_be_the_seal_of_anybody(two: TwoTenants) -> None:
    hashes = two.stored.look(
        lambda tx: [row.hash for row in execute_sql(tx, "SELECT hash FROM kern_seals")]
    )
    for noted in (*hashes, "0" * 64):
        verified(two.stored, "acme", noted)
    # What it says are the numbers of the tenant.
    with pytest.raises(AuditBroken, match="whose 4 decisions and 3 seals fit together"):
        verified(two.stored, "acme", "f" * 64)


# Of `acme`: what is done to it, and what names it.
TAMPERED = {
    "a decision was changed": (
        ["UPDATE kern_decisions SET verdict = 'reject' WHERE root_run_id = :voted AND seq = 2"],
        "The content of decision 2 of run '{voted}'",
    ),
    "a note was changed": (
        ["UPDATE kern_decisions SET note = 'x' WHERE root_run_id = :voted AND seq = 1"],
        "The content of decision 1 of run '{voted}'",
    ),
    "a decision was given to another tenant": (
        ["UPDATE kern_decisions SET tenant = 'globex' WHERE root_run_id = :voted AND seq = 2"],
        "Decision 2 is missing before decision 3 of run '{voted}'",
    ),
    "the last decision was removed": (
        ["DELETE FROM kern_decisions WHERE root_run_id = :voted AND seq = 3"],
        "The chain of run '{voted}' should end at decision 3",
    ),
    "the only decision of a run was removed": (
        ["DELETE FROM kern_decisions WHERE root_run_id = :approved"],
        "The chain of run '{approved}' should have 1 decisions, and has none",
    ),
    "a chain was removed with its end": (
        [
            "DELETE FROM kern_decisions WHERE root_run_id = :voted",
            "DELETE FROM kern_chain_heads WHERE root_run_id = :voted",
        ],
        "The chain of run '{voted}' should have",
    ),
    "the end of a chain was removed": (
        ["DELETE FROM kern_chain_heads WHERE root_run_id = :voted"],
        "The end of the chain of run '{voted}' is missing",
    ),
    "decisions were removed, and the end says so": (
        [
            "DELETE FROM kern_decisions WHERE root_run_id = :voted AND seq > 1",
            (
                "UPDATE kern_chain_heads SET seq = 1, hash = (SELECT hash FROM kern_decisions "
                "WHERE root_run_id = :voted AND seq = 1) WHERE root_run_id = :voted"
            ),
        ],
        "The chain of run '{voted}' has 1 decisions, and had 2 when seal 4",
    ),
    "a seal was changed": (
        ["UPDATE kern_seals SET chain_hash = 'x' WHERE seq = 2"],
        "The content of seal 2",
    ),
    "a seal was removed": (["DELETE FROM kern_seals WHERE seq = 2"], "seal 1"),
    "the latest seal of a run was removed": (
        ["DELETE FROM kern_seals WHERE seq = 4"],
        "The seal of decision 2 of run '{voted}'",
    ),
    "a requirement was changed": (
        [
            (
                "UPDATE kern_requirements SET resolved_by = 'eve' "
                "WHERE tenant = 'acme' AND status = 'resolved'"
            )
        ],
        "Requirement '{requirement}'",
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_done_to_a_tenant_is_named_to_it_and_to_nobody_else(
    two: TwoTenants, case: str
) -> None:
    changes, words = TAMPERED[case]
    ids = {"voted": two.voted.run_id, "approved": two.approved.run_id}

    def tamper(tx: Session) -> None:
        for change in changes:
            used = {name: run_id for name, run_id in ids.items() if f":{name}" in change}
            execute_sql(tx, change, **used)
        if "seal" not in case and "another tenant" not in case:
            assert verification.verify_tenant(tx, "globex").decisions == 2
        verification.verify_tenant(tx, "acme")

    with pytest.raises(AuditBroken) as broken:
        two.stored.do(tamper)
    assert words.format(**ids, requirement=two.approved.id) in str(broken.value)
    assert two.foreign.run_id not in str(broken.value)
    assert verified(two.stored, "acme").decisions == 4, "it was rolled back"


def test_a_seal_that_was_rewritten_with_its_hash_does_not_fit_the_one_after_it(
    two: TwoTenants,
) -> None:
    def rewrite(tx: Session) -> None:
        # With its whole chain, so that all that is acme's fits together.
        decision = tx.get_one(DecisionRow, (two.approved.run_id, 1))
        decision.actor = "eve"
        decision.hash = audit_chain.hash_of(decision)
        execute_sql(
            tx,
            "UPDATE kern_chain_heads SET hash = :hash WHERE root_run_id = :run",
            hash=decision.hash,
            run=two.approved.run_id,
        )
        row = tx.get_one(SealRow, 2)
        row.chain_hash = decision.hash
        row.hash = seals.hash_of(row)
        tx.flush()
        verification.verify_tenant(tx, "acme")

    with pytest.raises(AuditBroken, match="broken behind seal 2"):
        two.stored.do(rewrite)


def test_a_log_that_was_cut_at_its_end_is_found_by_every_tenant(two: TwoTenants) -> None:
    for tenant in ("acme", "globex"):

        def cut(tx: Session, tenant: str = tenant) -> None:
            execute_sql(tx, "DELETE FROM kern_seals WHERE seq = 5")
            verification.verify_tenant(tx, tenant)

        with pytest.raises(AuditBroken, match="does not end where kern_seal_head says") as broken:
            two.stored.do(cut)
        assert "5" not in str(broken.value), "how many seals others have"


def test_the_end_of_the_log_of_seals_is_read_by_every_tenant(two: TwoTenants) -> None:
    def change(tx: Session) -> None:
        tx.get_one(SealHeadRow, "seals").hash = "f" * 64
        tx.flush()
        verification.verify_tenant(tx, "initech")

    with pytest.raises(AuditBroken, match="does not end where kern_seal_head says"):
        two.stored.do(change)


@pytest.mark.parametrize("name", NAMES)
def test_the_decisions_of_a_deleted_session_stay_in_the_tenants_part(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with opened(name, tmp_path_factory.mktemp("db")) as stored:
        seen = gated(stored, "acme")
        stored.resolve(seen)
        seal(stored)
        session_id = stored.output(seen.run_id).session_id
        stored.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, after(9)))
        assert verified(stored, "acme").decisions == 1

        def remove(tx: Session) -> None:
            execute_sql(tx, "DELETE FROM kern_decisions")
            execute_sql(tx, "DELETE FROM kern_chain_heads")
            verification.verify_tenant(tx, "acme")

        with pytest.raises(AuditBroken, match=f"{seen.run_id}' should have 1 decisions"):
            stored.do(remove)


@pytest.mark.parametrize("name", NAMES)
def test_a_tenants_chains_are_a_range_of_an_index(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def plan(tx: Session) -> str:
        if name == "postgres":
            # With so few rows, Postgres would read the table.
            execute_sql(tx, "SET LOCAL enable_seqscan = off")
            execute_sql(tx, "SET LOCAL enable_sort = off")
        verb = "EXPLAIN" if name == "postgres" else "EXPLAIN QUERY PLAN"
        statement = (
            f"{verb} SELECT hash FROM kern_decisions WHERE tenant = 'acme' "  # noqa: S608  a test's own
            "ORDER BY root_run_id, seq"
        )
        return "\n".join(str(tuple(row)) for row in execute_sql(tx, statement))

    with opened(name, tmp_path_factory.mktemp("db")) as stored:
        found = stored.look(plan)
    assert "kern_decisions_of_tenant_run" in found
    assert "TEMP B-TREE" not in found
