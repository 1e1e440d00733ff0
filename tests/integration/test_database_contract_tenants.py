"""The database contract: what belongs to a tenant, and what of it another one learns."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event, select
from sqlmodel import Session

from kern.contracts.answers import NewCall, NewChild
from kern.contracts.policy import ComponentPolicy, Policy
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import deciding
from kern.db.engine.plain_rows import execute
from kern.db.engine.store import Store
from kern.db.engine.typed_tables import DELETED_RUNS, FILES, POLICIES
from kern.db.journal import audit_chain, verification
from kern.db.reading import inbox_pages, listings, run_outputs
from kern.db.reading.chat_history import StoredPast
from kern.db.runs import policies
from kern.db.sessions import deletions, forks, records
from kern.errors import Conflict, InvalidInput, NotAllowed, NotFound
from kern.media import File
from kern.pipeline.strictness import DeclaredPolicy
from kern.requirements import Principal, Requirement
from kern.tools import Approval
from kern.values.ids import new_id
from kern.values.states import OnExpiry
from tests.support.pictures import PDF
from tests.support.stored_runs import ARGUMENTS, NOW, Stored, after, question

ISSUER = "https://id.example.org"
OF_ACME = Viewer(is_operator=True, tenant="acme")


def gated(stored: Stored, tenant: str, approval: Approval | None = None) -> Requirement:
    """Make a run of ann's in a tenant, which waits for a person."""
    asked = question(approval=approval or Approval())
    return stored.requirement(stored.call(asked, user_id="ann", tenant=tenant))


def dana(tenant: str, *groups: str) -> Principal:
    return Principal(issuer=ISSUER, subject="u-17", name="Dana", tenant=tenant, groups=groups)


def test_what_is_in_a_session_has_its_tenant(stored: Stored) -> None:
    bill = File(data=PDF, name="bill.pdf")
    run_id, _ = stored.accept(tenant="acme", user_id="ann", kind="team", media=[bill])
    new = NewCall("c1", "give", {}, child=NewChild("finder", "agent", "finder", "Do it"))
    stored.answer(run_id, new)
    run = stored.output(run_id)
    child_id = run.tools[0].child_run_id
    assert child_id is not None
    nested = NewCall("c1", "again", {}, child=NewChild("deeper", "agent", "deeper", "Do it"))
    stored.answer(child_id, nested)
    grandchild_id = stored.output(child_id).tools[0].child_run_id
    assert grandchild_id is not None
    stored.answer(grandchild_id, NewCall("c1", "refund", dict(ARGUMENTS), question=question()))
    (requirement,) = stored.output(run_id).requirements
    session = stored.look(lambda tx: records.read(tx, run.session_id, OPERATOR))
    file_tenant = select(FILES.table.c.tenant).where(FILES.table.c.session_id == run.session_id)

    assert {
        *(stored.output(one).tenant for one in (run_id, child_id, grandchild_id)),
        *(requirement.tenant, session.tenant),
        stored.look(lambda tx: execute(tx, file_tenant).scalar()),
    } == {"acme"}


def test_a_fork_is_in_the_tenant_of_its_source(stored: Stored) -> None:
    session_id, bill = new_id(), File(data=PDF, name="bill.pdf")
    run_id, _ = stored.accept(session_id=session_id, tenant="acme", user_id="ann", media=[bill])
    stored.answer(run_id, content="Hello.")
    fork_id = stored.do(
        lambda tx: forks.fork(tx, session_id, Viewer("ann", tenant="acme"), NOW, fork_id=new_id())
    )
    (copy,) = stored.look(lambda tx: records.latest_runs(tx, fork_id, 10))
    file_tenant = select(FILES.table.c.tenant).where(FILES.table.c.session_id == fork_id)
    assert copy.tenant == stored.look(lambda tx: execute(tx, file_tenant).scalar()) == "acme"
    assert stored.look(lambda tx: records.read(tx, fork_id, OPERATOR)).tenant == "acme"


def test_ids_are_taken_for_all_tenants_and_nobody_learns_by_whom(stored: Stored) -> None:
    run_id, session_id = new_id(), new_id()
    stored.accept(run_id=run_id, session_id=session_id, tenant="acme", user_id="ann")
    before = stored.output(run_id)
    for other in ("globex", ""):
        with pytest.raises(Conflict, match=rf"^The run_id '{run_id}' is taken\. Choose another"):
            stored.accept(run_id=run_id, tenant=other, user_id="ann")
        with pytest.raises(Conflict, match=rf"^The session_id '{session_id}' is taken\. Choose"):
            stored.accept(session_id=session_id, tenant=other, user_id="ann")
    assert stored.accept(run_id=run_id, tenant="acme", user_id="ann") == (run_id, None)
    assert stored.output(run_id).model_copy(update={"metrics": before.metrics}) == before


def test_a_deleted_run_is_remembered_with_its_tenant(stored: Stored) -> None:
    run_id, session_id = new_id(), new_id()
    stored.accept(run_id=run_id, session_id=session_id, tenant="acme")
    with pytest.raises(NotFound):
        stored.do(lambda tx: deletions.delete(tx, session_id, Viewer(), NOW))
    stored.do(lambda tx: deletions.delete(tx, session_id, Viewer(tenant="acme"), NOW))
    with pytest.raises(Conflict, match="was deleted with its session"):
        stored.accept(run_id=run_id, tenant="acme")
    with pytest.raises(Conflict, match="is taken"):
        stored.accept(run_id=run_id, tenant="globex")
    remembered = select(DELETED_RUNS.table.c.tenant).where(DELETED_RUNS.table.c.id == run_id)
    assert stored.look(lambda tx: execute(tx, remembered).scalar()) == "acme"


def test_a_search_of_past_sessions_stays_in_the_tenant(stored: Stored) -> None:
    user = new_id()
    for name in ("acme", "globex", ""):
        run_id, _ = stored.accept(tenant=name, user_id=user, input=f"the secret of {name or '-'}")
        stored.answer(run_id, content="Kept.")
    for name in ("acme", "globex", ""):
        here, _ = stored.accept(tenant=name, user_id=user)
        found = StoredPast(stored.database, here).search("secret", 10)
        assert [one.user for one in found] == [f"the secret of {name or '-'}"]


def test_an_ending_is_looked_for_in_the_tenant_alone(stored: Stored) -> None:
    ending = new_id()[-12:]
    mine, same = f"mine-{ending}", f"other-{ending}"
    stored.accept(run_id=mine, session_id=f"s-{mine}", tenant="acme")
    stored.accept(run_id=same, session_id=f"s-{same}", tenant="globex")
    # The whole id of another tenant's run hides nothing either.
    stored.accept(run_id=ending, session_id=ending, tenant="globex")

    def full(viewer: Viewer) -> tuple[str, str]:
        return stored.look(
            lambda tx: (
                listings.full_run_id(tx, viewer, ending),
                listings.full_session_id(tx, viewer, ending),
            )
        )

    assert full(OF_ACME) == (mine, f"s-{mine}")
    assert full(Viewer(is_operator=True)) == (ending, ending)
    assert full(OPERATOR) == (ending, ending)
    with pytest.raises(InvalidInput, match="Several runs"):
        stored.look(lambda tx: listings.full_run_id(tx, OPERATOR, ending[1:]))
    assert stored.look(lambda tx: listings.full_run_id(tx, OF_ACME, ending[1:])) == mine


def test_pages_hold_what_is_of_the_tenant(stored: Stored) -> None:
    ours, theirs = new_id(), new_id()
    made = [gated(stored, name) for name in (ours, theirs, ours)]
    viewer = Viewer(is_operator=True, tenant=ours)

    def seen(tx: Session) -> tuple[list[str], ...]:
        pending = inbox_pages.list_inbox(tx, viewer, limit=1)
        rest = inbox_pages.list_inbox(tx, viewer, limit=1, after=pending.next_cursor)
        runs = listings.list_runs(tx, viewer, limit=10)
        sessions = records.page(tx, viewer, limit=10)
        return (
            [item.id for item in [*pending.requirements, *rest.requirements]],
            sorted(run.run_id for run in runs.runs),
            sorted(one.session_id for one in sessions.sessions),
        )

    of_ours = [made[0], made[2]]
    assert stored.look(seen) == (
        [item.id for item in of_ours],
        sorted(item.run_id for item in of_ours),
        sorted(item.session_id for item in of_ours),
    )
    with pytest.raises(NotFound):
        stored.look(lambda tx: inbox_pages.list_inbox(tx, viewer, limit=1, after=made[1].id))
    with pytest.raises(NotFound):
        stored.look(lambda tx: listings.list_runs(tx, viewer, limit=1, after=made[1].run_id))


def test_who_decides_is_of_the_tenant_and_the_log_says_so(stored: Stored) -> None:
    seen = gated(stored, "acme", Approval(quorum=2))
    with pytest.raises(NotFound, match="There is no requirement"):
        stored.resolve(seen, by=dana("globex"))
    with pytest.raises(NotFound, match="There is no requirement"):
        stored.resolve(seen, by=dana(""))
    with pytest.raises(NotFound, match="There is no requirement"):
        stored.resolve(seen, by="eli", viewer=Viewer(is_operator=True, tenant="globex"))
    with pytest.raises(NotAllowed, match="belongs to the tenant 'globex'"):
        stored.resolve(seen, by=dana("globex"), viewer=OF_ACME)
    stored.resolve(seen, by=dana("acme"))
    stored.resolve(seen, by="eli", viewer=OF_ACME)
    log = stored.look(lambda tx: audit_chain.decisions_of(tx, seen.id))
    assert [(row.actor, row.issuer, row.tenant) for row in log] == [
        ("Dana", ISSUER, "acme"),
        ("eli", "local", "acme"),
    ]
    stored.look(verification.verify)


def test_a_group_of_another_tenant_is_another_group(stored: Stored) -> None:
    seen = gated(stored, "acme", Approval(candidates=("group:finance",)))
    with pytest.raises(NotFound):
        stored.resolve(seen, by=dana("globex", "finance"))
    with pytest.raises(NotAllowed, match="its candidates are"):
        stored.resolve(seen, by=dana("acme", "sales"))
    assert stored.resolve(seen, by=dana("acme", "finance")).delivery is not None


def test_a_deadline_decides_in_the_tenant_of_the_requirement(stored: Stored) -> None:
    approval = Approval(due=timedelta(seconds=5), on_expiry=OnExpiry.reject)
    seen = gated(stored, "acme", approval)
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(60)))
    (row,) = stored.look(lambda tx: audit_chain.decisions_of(tx, seen.id))
    assert (row.actor, row.tenant) == ("kern", "acme")
    stored.look(verification.verify)


def test_a_question_that_answers_itself_does_so_in_the_tenant(stored: Stored) -> None:
    call_id = stored.call(tenant="acme")
    stored.begin(call_id, "first")
    stored.begin(call_id, "second")
    asked = stored.requirement(call_id)
    stored.finish(call_id, "first")
    (row,) = stored.look(lambda tx: audit_chain.decisions_of(tx, asked.id))
    assert (row.actor, row.tenant) == ("kern", "acme")


def test_each_tenant_has_a_row_of_a_policy_that_all_read(stored: Stored) -> None:
    component = f"agent-{new_id()}"
    declared = DeclaredPolicy(Policy(components={component: ComponentPolicy(kind="agent")}), ())
    digest = declared.policy.digest
    for name in ("acme", "globex", "acme", ""):
        stored.do(partial(policies.store, worker_policy=declared, now=NOW, tenant=name))
    rows = select(POLICIES.table.c.tenant).where(POLICIES.table.c.digest == digest)
    found = stored.look(lambda tx: sorted(execute(tx, rows).scalars()))
    assert found == ["", "acme", "globex"]
    assert stored.look(lambda tx: policies.component_policy(tx, digest, component)) is not None


def plans(database: Store, statements: list[tuple[str, object]]) -> list[str]:
    """Return how the database finds the rows of statements."""
    is_postgres = database.engine.dialect.name == "postgresql"
    with database.engine.connect() as connection:
        if is_postgres:
            # A table of a few rows is read whole otherwise.
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_bitmapscan = off")
        verb = "EXPLAIN" if is_postgres else "EXPLAIN QUERY PLAN"
        return [
            "\n".join(
                str(row[0 if is_postgres else 3])
                for row in connection.exec_driver_sql(f"{verb} {statement}", values)  # type: ignore[arg-type]
            )
            for statement, values in statements
        ]


@pytest.mark.parametrize("viewer", [OF_ACME, Viewer("ann", tenant="acme"), Viewer(tenant="acme")])
def test_the_listings_of_a_tenant_are_read_by_its_indexes(stored: Stored, viewer: Viewer) -> None:
    statements: list[tuple[str, object]] = []

    def note(*heard: object) -> None:
        statements.append((str(heard[2]), heard[3]))

    def listed(tx: Session) -> None:
        records.page(tx, viewer, limit=2)
        inbox_pages.list_inbox(tx, viewer, limit=2)
        listings.list_runs(tx, viewer, limit=2)

    engine = stored.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        stored.look(listed)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    pages = [one for one in statements if ".tenant = " in one[0]]
    sessions = "sessions_of_tenant" if viewer.is_operator else "sessions_of_tenant_user"
    if engine.dialect.name == "postgresql" and not viewer.is_operator:
        # Among a few rows, Postgres takes any index in whose order they come.
        sessions = "sessions_of_"
    for plan, index in zip(
        plans(stored.database, pages),
        (sessions, "requirements_of_tenant", "runs_of_tenant"),
        strict=True,
    ):
        assert f"kern_{index}" in plan, plan
        # Otherwise all rows of the tenant are read for a page. The rows of a page that has been
        # found may be sorted.
        found, has_page, _ = plan.partition("SCAN page")
        assert "Sort" not in plan, plan
        assert "TEMP B-TREE" not in found, plan
        assert not has_page or "MATERIALIZE page" in found, plan


def test_a_tool_knows_the_tenant_of_its_run(stored: Stored) -> None:
    call_id = stored.call(tenant="acme")
    execution = stored.begin(call_id)
    assert getattr(execution, "tenant", None) == "acme"
    run_id = stored.run_of(call_id)
    with pytest.raises(NotFound, match="There is no run"):
        stored.look(lambda tx: run_outputs.run_output(tx, run_id, Viewer(is_operator=True)))
