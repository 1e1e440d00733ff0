"""Lists who has signed in with a browser, and ends their sessions."""

from kern.client.cli.access import decider, perform
from kern.client.cli.printing import count, say, say_json, say_table, show_time
from kern.contracts.viewer import present_operator
from kern.contracts.web_sessions import WebSession


def sign_out_person(subject: str, by: str | None, *, as_json: bool) -> None:
    """End every session of somebody.

    Raises:
        NotFound: there is none.
    """
    name = decider(by)
    ended = perform(lambda service: service.access.end_sessions(present_operator(), subject, name))
    if as_json:
        say_json({"subject": subject, "ended": ended})
        return
    say(f"{subject} is signed out: {count(ended, 'session')} ended.")
    say("Tokens are revoked with `kern token revoke`; the identity provider may let them in again.")


def list_sessions(*, as_json: bool) -> None:
    """List who has signed in, in the tenant or in all."""
    sessions = perform(lambda service: service.access.sessions(present_operator()))
    if as_json:
        say_json({"sessions": [session_values(session) for session in sessions]})
        return
    if not sessions:
        say("Nobody has signed in with a browser.")
        return
    say_table(
        ("SUBJECT", "NAME", "METHOD", "ROLES", "SINCE", "USED"),
        [
            (
                session.caller.principal.subject,
                session.caller.principal.name,
                session.caller.method,
                ", ".join(role.value for role in session.caller.roles),
                show_time(session.created_at),
                show_time(session.used_at),
            )
            for session in sessions
        ],
    )


def session_values(session: WebSession) -> dict[str, object]:
    """Return a session as programs are shown it."""
    return {
        "principal": session.caller.principal.model_dump(mode="json"),
        "roles": [role.value for role in session.caller.roles],
        "method": session.caller.method,
        "created_at": session.created_at.isoformat(),
        "used_at": session.used_at.isoformat(),
    }
