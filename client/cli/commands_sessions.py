"""The commands about sessions: list them, show one, rename one, delete one."""

from typing import Annotated

import typer

from kern.client.cli.options import AsJson, Limit, Tenant, UserFilter

_PANEL = "Runs"

SessionId = Annotated[
    str,
    typer.Argument(metavar="SESSION", help="The session's id, or its last 6 characters or more."),
]

sessions = typer.Typer(help="List, show, rename and delete sessions.")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    sessions.command("list")(list_sessions)
    for command in (show, rename, delete):
        sessions.command()(command)
    app.add_typer(sessions, name="sessions", rich_help_panel=_PANEL)


def list_sessions(
    user: UserFilter = None,
    limit: Limit = 20,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", help="Continue after the page that ended here."),
    ] = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List sessions, the latest first."""
    from kern.client.cli.sessions import print_sessions

    print_sessions(user=user, limit=limit, after=after, as_json=as_json)


def show(
    session_id: SessionId, limit: Limit = 20, _tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Show a session: its owner, state, what it used, and its last runs."""
    from kern.client.cli.sessions import print_session

    print_session(session_id, limit=limit, as_json=as_json)


def rename(
    session_id: SessionId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Give a session a name."""
    from kern.client.cli.sessions import rename_session

    rename_session(session_id, name, as_json=as_json)


def delete(
    session_id: SessionId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed off a terminal.")] = False,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Delete a session with its runs and messages; active and paused runs are cancelled.

    Decisions stay in the log of decisions.
    """
    from kern.client.cli.sessions import delete_session

    delete_session(session_id, may_ask=not (yes or as_json), as_json=as_json)
