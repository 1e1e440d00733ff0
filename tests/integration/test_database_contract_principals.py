"""The database contract: who decides, as whoever authenticated them says."""

import pytest
from sqlmodel import Session

from kern.contracts.viewer import OPERATOR
from kern.db.engine.records import DecisionRecord
from kern.db.journal import audit_chain
from kern.db.reading import listings
from kern.db.sessions import deletions
from kern.errors import AlreadyResolved, AuditBroken, NotAllowed
from kern.requirements import Principal, PrincipalKind
from kern.tools import Approval
from kern.values.states import RequirementKind, Verdict
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import Stored, after

ISSUER = "https://id.example.org"


def person(subject: str, name: str | None = None, **values: object) -> Principal:
    whole = {"issuer": ISSUER, "subject": subject, "name": name or subject.title(), **values}
    return Principal.model_validate(whole)


def log(stored: Stored, requirement_id: str) -> list[DecisionRecord]:
    return stored.look(lambda tx: audit_chain.decisions_of(tx, requirement_id))


def delete(stored: Stored, session_id: str) -> None:
    stored.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, after(9)))


def test_a_decision_keeps_the_principal_and_the_hash_covers_it(stored: Stored) -> None:
    seen = stored.gated()
    dana = person("u-17", "Dana", groups=("finance", "it"), tenant="acme")
    resolution = stored.resolve(seen, by=dana, note="ok").requirement.resolution
    assert resolution is not None
    assert (resolution.by, resolution.principal) == ("Dana", dana)
    (decision,) = stored.look(lambda tx: listings.decisions_of(tx, seen.run_id))
    assert decision.principal == dana
    stored.look(audit_chain.verify)
    for change in (
        *("issuer = 'x'", "subject = 'x'", "principal_kind = 'agent'", "groups = '[]'"),
        *("tenant = 'x'", "version = 2"),
    ):

        def tamper(tx: Session, change: str = change) -> None:
            execute_sql(tx, f"UPDATE kern_decisions SET {change} WHERE id = :id", id=decision.id)  # noqa: S608
            audit_chain.verify(tx)

        with pytest.raises(AuditBroken):
            stored.do(tamper)


@pytest.mark.parametrize("kind", ["agent", "service", "system"])
@pytest.mark.parametrize("verdict", [Verdict.approve, Verdict.reject, Verdict.withdraw])
def test_only_a_person_decides(stored: Stored, kind: str, verdict: Verdict) -> None:
    seen = stored.gated()
    robot = person("r2", "Robot", kind=PrincipalKind(kind))
    with pytest.raises(NotAllowed, match=rf"'Robot' is of the kind '{kind}'.*asks for a person"):
        stored.resolve(seen, verdict, by=robot)


def test_a_principal_is_one_voice_whatever_name_it_is_shown_under(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    assert stored.resolve(seen, by=person("u-17", "Dana")).delivery is None
    for same in (person("u-17", "Dana Smith"), person("u-18", "DANA"), "dana "):
        with pytest.raises(AlreadyResolved, match="already decided"):
            stored.resolve(seen, by=same)
    assert stored.resolve(seen, by=person("u-19", "Eli")).delivery is not None


def test_a_person_is_excluded_or_a_candidate_by_name_or_by_subject(stored: Stored) -> None:
    approval = Approval(candidates=("dana@example.org", "Eli"), excluded=("u-66", "Mallory"))
    seen = stored.gated(approval=approval)
    for refused in (person("u-66", "Eli"), person("u-1", "MALLORY"), person("u-2", "Bob")):
        with pytest.raises(NotAllowed):
            stored.resolve(seen, by=refused)
    for spoof in (person("\u041aern", "Ann"), person("kern", "Bob"), person("\u0415li", "Ann")):
        with pytest.raises(NotAllowed, match=r"looks like|Kern itself"):
            stored.resolve(seen, by=spoof)
    assert stored.resolve(seen, by=person("dana@example.org", "Dana Smith")).delivery


def test_an_execution_says_who_approved_exactly_its_arguments(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    dana, eli = person("u-17", "Dana"), person("u-18", "Eli")
    stored.resolve(seen, by=dana, edit={"amount": 1})
    stored.resolve(seen, by=eli, note="once", at=after(1))
    stored.resolve(seen, by=dana, note="agreed", at=after(2))
    execution = stored.begin(seen.tool_call_id or "")
    assert [(v.by, v.principal, v.note, v.at) for v in execution.approvals] == [  # type: ignore[union-attr]
        ("Eli", eli, "once", after(1)),
        ("Dana", dana, "agreed", after(2)),
    ]
    free = stored.begin(stored.call())
    assert free.approvals == ()  # type: ignore[union-attr]


def test_texts_of_a_deleted_session_are_erased_and_the_log_verifies(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    stored.resolve(seen, by="dana", note="her address is Elm 1", edit={"amount": 4711})
    result = stored.gated(RequirementKind.external_execution)
    stored.resolve(result, Verdict.result, by="dana", result="secret")
    before = stored.look(audit_chain.verify)
    for item in (seen, result):
        delete(stored, item.session_id)
        (row,) = log(stored, item.id)
        assert (row.note, row.edit, row.given, row.salt) == (None, None, None, None)
        assert row.actor == "dana"
    assert stored.look(audit_chain.verify) == before


def test_a_text_is_not_put_back_or_changed_unseen(stored: Stored) -> None:
    seen = stored.gated()
    stored.resolve(seen, by="dana", note="fine")
    for change in ("note = 'bad'", "salt = NULL", "salt = 'x'", "note = NULL"):

        def tamper(tx: Session, change: str = change) -> None:
            execute_sql(
                tx,
                f"UPDATE kern_decisions SET {change} WHERE requirement_id = :id",  # noqa: S608
                id=seen.id,
            )
            audit_chain.verify(tx)

        with pytest.raises(AuditBroken):
            stored.do(tamper)
