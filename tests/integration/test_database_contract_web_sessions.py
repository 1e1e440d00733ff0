"""Sessions of browsers, on each database."""

from datetime import datetime, timedelta

import pytest

from kern.contracts.caller import Caller
from kern.contracts.tokens import Token, token_principal
from kern.contracts.viewer import Viewer
from kern.db.access import tokens, web_sessions
from kern.process.clock import utc_now
from kern.values.roles import Role
from tests.support.stored_runs import Stored

EVERYWHERE = Viewer(is_operator=True, tenant=None)


def caller(subject: str, tenant: str = "", at: datetime | None = None) -> Caller:
    principal = token_principal(subject, tenant=tenant, groups=["finance"])
    return Caller(principal, (Role.operator,), "oidc", authenticated_at=at)


def viewer(tenant: str) -> Viewer:
    return Viewer(is_operator=True, tenant=tenant)


@pytest.fixture
def now(stored: Stored) -> datetime:
    """A moment at which nobody has signed in."""
    moment = utc_now()
    for session in stored.look(lambda tx: web_sessions.sessions_of(tx, EVERYWHERE, moment)):
        subject = session.caller.principal.subject
        stored.do(lambda tx: web_sessions.end_all_of(tx, EVERYWHERE, subject))  # noqa: B023  at once
    return moment


def begin(stored: Stored, secret: str, who: Caller, now: datetime) -> None:
    stored.do(lambda tx: web_sessions.begin(tx, who, secret, now))


def subjects(stored: Stored, who: Viewer, now: datetime) -> list[str]:
    found = stored.look(lambda tx: web_sessions.sessions_of(tx, who, now))
    return [session.caller.principal.subject for session in found]


def test_a_session_keeps_who_signed_in_and_when_they_proved_it(
    stored: Stored, now: datetime
) -> None:
    earlier = now - timedelta(minutes=3)
    begin(stored, "a", caller("dana", "halden", earlier), now)
    session = stored.look(lambda tx: web_sessions.session_with(tx, "a", now))
    assert session is not None
    assert session.caller == caller("dana", "halden", earlier)
    begin(stored, "b", caller("ravi"), now)
    session = stored.look(lambda tx: web_sessions.session_with(tx, "b", now))
    assert session is not None
    assert session.caller.authenticated_at is None


def test_sessions_are_listed_by_tenant_while_they_last(stored: Stored, now: datetime) -> None:
    begin(stored, "c", caller("dana", "halden"), now - timedelta(hours=2))
    begin(stored, "d", caller("ravi", "halden"), now - timedelta(hours=1))
    begin(stored, "e", caller("mia"), now)
    assert subjects(stored, EVERYWHERE, now) == ["mia", "ravi", "dana"]
    assert subjects(stored, viewer("halden"), now) == ["ravi", "dana"]
    assert subjects(stored, viewer(""), now) == ["mia"]
    # Nobody has used them for long enough.
    assert subjects(stored, EVERYWHERE, now + timedelta(hours=6, minutes=30)) == ["mia", "ravi"]


def test_somebody_is_signed_out_in_one_tenant_or_in_all(stored: Stored, now: datetime) -> None:
    for secret, tenant in (("f", "halden"), ("g", "halden"), ("h", "morrow"), ("i", "")):
        begin(stored, secret, caller("dana", tenant), now)
    begin(stored, "j", caller("ravi", "halden"), now)

    def ended(who: Viewer) -> int:
        return stored.do(lambda tx: web_sessions.end_all_of(tx, who, "dana"))

    assert ended(viewer("halden")) == 2
    assert subjects(stored, viewer("halden"), now) == ["ravi"]
    assert ended(viewer("halden")) == 0
    assert ended(EVERYWHERE) == 2
    assert subjects(stored, EVERYWHERE, now) == ["ravi"]


def test_whether_a_token_lets_anybody_in(stored: Stored, now: datetime) -> None:
    def has_valid() -> bool:
        return stored.look(lambda tx: tokens.has_valid(tx, now))

    def keep(token_id: str, expires_at: datetime) -> None:
        token = Token(
            id=token_id,
            label="t",
            prefix="kern_x",
            principal=token_principal("dana"),
            roles=(Role.operator,),
            created_by="test",
            created_at=now,
            expires_at=expires_at,
        )
        stored.do(lambda tx: tokens.store(tx, token, token_id))

    assert not has_valid()
    keep("expired", now)
    assert not has_valid()
    keep("valid", now + timedelta(days=1))
    assert has_valid()
    stored.do(lambda tx: tokens.revoke(tx, EVERYWHERE, "valid", "test", now))
    assert not has_valid()
