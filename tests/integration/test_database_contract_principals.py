"""The database contract: who decides, as whoever authenticated them says."""

import re
from datetime import timedelta

import pytest
from sqlmodel import Session

from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.engine.records import DecisionRecord
from kern.db.journal import audit_chain, verification
from kern.db.reading import listings
from kern.db.sessions import deletions
from kern.errors import AlreadyResolved, AuditBroken, NotAllowed
from kern.requirements import Principal, PrincipalKind, Requirement
from kern.tools import Approval, Escalation, Requester
from kern.values.states import RequirementKind, Verdict
from tests.support.raw_sql import execute_sql
from tests.support.stored_runs import Stored, after, question

ISSUER = "https://id.example.org"


def person(subject: str, name: str | None = None, **values: object) -> Principal:
    whole = {"issuer": ISSUER, "subject": subject, "name": name or subject.title(), **values}
    return Principal.model_validate(whole)


def log(stored: Stored, requirement_id: str) -> list[DecisionRecord]:
    return stored.look(lambda tx: audit_chain.decisions_of(tx, requirement_id))


def delete(stored: Stored, session_id: str) -> None:
    stored.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, after(9)))


def test_a_decision_keeps_the_principal_and_the_hash_covers_it(stored: Stored) -> None:
    seen = stored.requirement(stored.call(question(), user_id="ann", tenant="acme"))
    dana = person("u-17", "Dana", groups=("finance", "it"), tenant="acme")
    resolution = stored.resolve(seen, by=dana, note="ok").requirement.resolution
    assert resolution is not None
    assert (resolution.by, resolution.principal) == ("Dana", dana)
    (decision,) = stored.look(lambda tx: listings.decisions_of(tx, seen.run_id))
    assert decision.principal == dana
    stored.look(verification.verify)
    for change in (
        *("issuer = 'x'", "subject = 'x'", "principal_kind = 'agent'", "groups = '[]'"),
        *("tenant = 'x'", "version = 2"),
    ):

        def tamper(tx: Session, change: str = change) -> None:
            execute_sql(tx, f"UPDATE kern_decisions SET {change} WHERE id = :id", id=decision.id)  # noqa: S608
            verification.verify(tx)

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
    for same in (person("u-17", "Dana Smith"), person("u-18", "DANA")):
        with pytest.raises(AlreadyResolved, match="already decided"):
            stored.resolve(seen, by=same)
    with pytest.raises(NotAllowed, match="as somebody who authenticated"):
        stored.resolve(seen, by="dana ")
    assert stored.resolve(seen, by=person("u-19", "Eli")).delivery is not None


def test_a_name_that_is_the_id_of_who_decided_is_no_second_person(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    stored.resolve(seen, by=person("u-17", "Dana"))
    with pytest.raises(NotAllowed, match="as somebody who authenticated"):
        stored.resolve(seen, by="U\u201017")
    with pytest.raises(NotAllowed, match="'u-l7' looks like 'u-17'"):
        stored.resolve(seen, by="u-l7")
    # Ids that somebody vouches for are not read by eye.
    assert stored.resolve(seen, by=person("u-l7", "Eli")).delivery is not None


def test_who_is_vouched_for_may_be_renamed_to_what_looks_alike(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    stored.resolve(seen, by=person("u-17", "bill"))
    with pytest.raises(NotAllowed, match="'biII' looks like 'bill'"):
        stored.resolve(seen, by=person("u-18", "biII"))
    stored.resolve(seen, Verdict.withdraw, by=person("u-17", "biII"))
    assert stored.requirement(seen.tool_call_id or "").proposals == []


@pytest.mark.parametrize(
    ("name", "same"),
    [("o'brien", "O\u2019Brien"), ("ann-lee", "Ann\u2013Lee"), ("\u0130lker", "ilker")],
)
def test_no_keyboard_makes_a_second_person(stored: Stored, name: str, same: str) -> None:
    seen = asked_by(stored, name, Approval(quorum=2, excluded=Requester))
    with pytest.raises(NotAllowed, match="is excluded"):
        stored.resolve(seen, by=same)
    seen = stored.gated(approval=Approval(quorum=2, candidates=(name, "bob")))
    stored.resolve(seen, by=same)
    with pytest.raises(AlreadyResolved, match="already decided"):
        stored.resolve(seen, by=name)
    (row,) = log(stored, seen.id)
    assert row.actor == same


@pytest.mark.parametrize(
    ("name", "spoof"),
    [
        ("bill", "biII"),
        ("user0", "userO"),
        ("admin", "adrnin"),
        ("\u0639\u0644\u06cc", "\u0639\u0644\u064a"),
    ],
)
def test_what_looks_like_a_name_that_counts_here_is_refused(
    stored: Stored, name: str, spoof: str
) -> None:
    words = re.escape(f"{spoof!a} looks like {name!r}")
    voted = stored.gated(approval=Approval(quorum=2))
    stored.resolve(voted, by=name)
    for seen in (
        voted,
        stored.gated(approval=Approval(candidates=(name,))),
        stored.gated(approval=Approval(excluded=(name,))),
        asked_by(stored, name, Approval(excluded=Requester)),
    ):
        with pytest.raises(NotAllowed, match=words):
            stored.resolve(seen, by=spoof)
    # Where nobody is called so, it is a name like any other.
    assert stored.resolve(stored.gated(), by=spoof).delivery is not None


def test_nobody_passes_for_a_group(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(excluded=("group:finance",)))
    with pytest.raises(NotAllowed, match="looks like 'group:finance'"):
        stored.resolve(seen, by="group\ua789finance")


def test_who_may_be_in_an_excluded_group_lets_nothing_run(stored: Stored) -> None:
    """Of a name alone nobody knows its groups."""
    seen = stored.gated(approval=Approval(excluded="group:interns"))
    with pytest.raises(NotAllowed, match="excludes group:interns, and nobody knows in which"):
        stored.resolve(seen, by="dana")
    intern = Principal(issuer="local", subject="dana", name="dana", groups=("interns",))
    with pytest.raises(NotAllowed, match="is excluded"):
        stored.resolve(seen, by=intern)
    known = Principal(issuer="local", subject="dana", name="dana", groups=("finance",))
    assert stored.resolve(seen, by=known).delivery is not None
    rejected = stored.gated(approval=Approval(excluded="group:interns"))
    assert stored.resolve(rejected, Verdict.reject, by="dana").delivery is not None
    vouched = stored.gated(approval=Approval(excluded="group:interns"))
    assert stored.resolve(vouched, by=person("u-17", "Dana")).delivery is not None


@pytest.mark.parametrize("claim", ["Dana", "dana", "u-17"])
def test_a_name_alone_takes_nobody_s_vote(stored: Stored, claim: str) -> None:
    """It neither replaces nor takes back that of who authenticated, nor counts beside it."""
    seen = stored.gated(approval=Approval(quorum=2))
    dana = person("u-17", "Dana")
    stored.resolve(seen, by=dana)
    for verdict, edit in (
        (Verdict.approve, None),
        (Verdict.approve, {"amount": 9}),
        (Verdict.withdraw, None),
    ):
        with pytest.raises(NotAllowed, match="as somebody who authenticated"):
            stored.resolve(seen, verdict, by=claim, edit=edit)
    [proposal] = stored.requirement(seen.tool_call_id or "").proposals
    assert (proposal.by, proposal.approvals) == (["Dana"], 1)
    assert stored.resolve(seen, Verdict.reject, by=claim).delivery is not None


def test_who_authenticates_takes_over_what_their_name_alone_has_decided(stored: Stored) -> None:
    seen = stored.gated(approval=Approval(quorum=2))
    stored.resolve(seen, by="dana")
    stored.resolve(seen, by=person("u-17", "Dana"), edit={"amount": 9})
    [proposal] = stored.requirement(seen.tool_call_id or "").proposals
    assert (proposal.by, proposal.approvals) == (["Dana"], 1)


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
    before = stored.look(verification.verify)
    for item in (seen, result):
        delete(stored, item.session_id)
        (row,) = log(stored, item.id)
        assert (row.note, row.edit, row.given, row.salt) == (None, None, None, None)
        assert row.actor == "dana"
    assert stored.look(verification.verify) == before


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
            verification.verify(tx)

        with pytest.raises(AuditBroken):
            stored.do(tamper)


def asked_by(stored: Stored, user_id: str | None, approval: Approval) -> Requirement:
    return stored.requirement(stored.call(question(approval=approval), user_id=user_id))


@pytest.mark.parametrize(
    "same", ["ann", "Ann ", "ANN", person("ann", "Somebody"), person("u-1", "Ann"), "\uff41nn"]
)
def test_whoever_asked_does_not_decide(stored: Stored, same: str | Principal) -> None:
    seen = asked_by(stored, "ann", Approval(excluded=Requester))
    for verdict in (Verdict.approve, Verdict.reject):
        with pytest.raises(NotAllowed, match="is excluded"):
            stored.resolve(seen, verdict, by=same)
    assert stored.resolve(seen, by="bob").delivery is not None


def test_a_name_that_is_drawn_like_that_of_who_asked_is_refused(stored: Stored) -> None:
    seen = asked_by(stored, "cope", Approval(excluded=("mallory", Requester)))
    with pytest.raises(NotAllowed, match="looks like 'cope'"):
        stored.resolve(seen, by="\u0441\u043e\u0440\u0435")


def test_nobody_approves_where_it_is_unknown_who_asked(stored: Stored) -> None:
    seen = asked_by(stored, None, Approval(excluded=Requester))
    with pytest.raises(NotAllowed, match="begun without a user_id"):
        stored.resolve(seen, by="bob")
    assert stored.resolve(seen, Verdict.reject, by="bob").delivery is not None


def test_only_whoever_asked_confirms(stored: Stored) -> None:
    seen = asked_by(stored, "ann", Approval(candidates=Requester))
    with pytest.raises(NotAllowed, match="'bob' may not decide"):
        stored.resolve(seen, by="bob")
    assert stored.resolve(seen, by="Ann").delivery is not None


def test_groups_are_those_of_the_principal(stored: Stored) -> None:
    approval = Approval(candidates=("group:Finance", "zoe"), excluded="group:contractors", quorum=3)
    seen = stored.gated(approval=approval)
    unknown = stored.gated(approval=Approval(candidates="group:Finance"))
    with pytest.raises(NotAllowed, match="'dana' alone is in no group"):
        stored.resolve(unknown, by="dana")
    with pytest.raises(NotAllowed, match="may not decide"):
        stored.resolve(seen, by=person("dana", groups=("it",)))
    with pytest.raises(NotAllowed, match="is excluded"):
        stored.resolve(seen, by=person("zoe", groups=("contractors",)))
    for nobody in ("group:finance", "@requester", "Group: Finance"):
        with pytest.raises(NotAllowed, match="stands for a group or a role"):
            stored.resolve(seen, by=nobody)
    assert stored.resolve(seen, by=person("dana", groups=("FINANCE",))).delivery is None
    claim = Principal(issuer="local", subject="eli", name="eli", groups=("finance",))
    assert stored.resolve(seen, by=claim).delivery is None
    assert stored.resolve(seen, by=person("zoe")).delivery is not None


def test_an_escalation_lets_a_group_decide(stored: Stored) -> None:
    escalation = Escalation(after=timedelta(hours=1), to="group:bosses")
    seen = stored.gated(approval=Approval(candidates=("ann",), escalate=escalation))
    boss = person("bo", groups=("bosses",))
    with pytest.raises(NotAllowed):
        stored.resolve(seen, by=boss)
    stored.do(lambda tx: deciding.expire(tx, seen.id, after(3601)))
    assert stored.resolve(seen, by=boss).delivery is not None


def test_running_again_keeps_groups_and_the_requester(stored: Stored) -> None:
    approval = Approval(candidates=("group:finance", "bob"), excluded=Requester, quorum=2)
    seen = stored.gated(approval=approval)
    for by in (person("dana", groups=("finance",)), "bob"):
        stored.resolve(seen, by=by)
    stored.begin(seen.tool_call_id or "", "first")
    stored.begin(seen.tool_call_id or "", "second")
    doubt = stored.requirement(seen.tool_call_id or "")
    assert (doubt.candidates, doubt.excluded) == (seen.candidates, seen.excluded)
    with pytest.raises(NotAllowed, match="excluded"):
        stored.resolve(doubt, Verdict.run_again, by=person("ann", groups=("finance",)))
