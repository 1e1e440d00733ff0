"""The commands about the installation: servers, workers, tables, the log of decisions."""

from pathlib import Path
from typing import Annotated

import typer

from kern.client.cli.options import After, App, AsJson, By, HealthHost, HealthPort, Limit, Tenant
from kern.values.states import Verdict

_PANEL = "Operation"

AuditedRun = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="Only this run and those of its tree: its id, or that of a decision in it, or their "
        "end.",
    ),
]

audit = typer.Typer(help="List, verify or export the log of decisions.")
token = typer.Typer(help="Make, list or revoke the tokens with which the API is called.")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, worker, serve, desk, migrate, doctor, stuck):
        app.command(rich_help_panel=_PANEL)(command)
    audit.command(name="list")(decisions)
    audit.command()(verify)
    audit.command()(export)
    app.add_typer(audit, name="audit", rich_help_panel=_PANEL)
    for subcommand in (create, tokens, revoke):
        token.command(name="list" if subcommand is tokens else None)(subcommand)
    app.add_typer(token, name="token", rich_help_panel=_PANEL)
    app.command(rich_help_panel=_PANEL)(signout)


def up(
    app: App = None,
    ui: Annotated[bool, typer.Option("--ui", help="Also serve Temporal's web pages.")] = False,
    health_host: HealthHost = None,
    health_port: HealthPort = None,
) -> None:
    """Start the folder's server, a worker and the console in one, until Ctrl-C."""
    from kern.client.cli.access import require_database
    from kern.client.cli.serving import announce, serve_app

    require_database("up")
    announce(app)
    serve_app(app, ui=ui, health_host=health_host, health_port=health_port, with_desk=True)


def worker(app: App = None, health_host: HealthHost = None, health_port: HealthPort = None) -> None:
    """Execute the runs of an app, until SIGTERM or Ctrl-C."""
    from kern.client.cli.access import require_database
    from kern.client.cli.serving import serve_app

    require_database("worker")
    serve_app(app, ui=False, health_host=health_host, health_port=health_port)


def serve(
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="The address (KERN_HOST).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="The port; 0 for any (KERN_PORT)."),
    ] = None,
    is_open: Annotated[
        bool,
        typer.Option("--open", help="Other machines may reach it, through a proxy with TLS."),
    ] = False,
) -> None:
    """Serve the API over HTTP, until SIGTERM or Ctrl-C. It executes nothing."""
    from kern.client.cli.access import require_database
    from kern.client.cli.serving import serve_api

    require_database("serve")
    serve_api(host, port, is_open=is_open)


def desk(
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Where it is served (KERN_PORT)."),
    ] = None,
) -> None:
    """Print a link with which you open the console on this machine, once."""
    from kern.client.cli.access import require_database
    from kern.client.cli.serving import print_link

    require_database("desk")
    print_link(port)


def create(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Who comes in with it: an id that stays.")
    ],
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="viewer, operator (the default), auditor or administrator; several times for "
            "several.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The name that people are shown.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group that they are in.")
    ] = None,
    service: Annotated[
        bool, typer.Option("--service", help="It is a program, which decides nothing.")
    ] = False,
    label: Annotated[str | None, typer.Option("--label", help="What it is for.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="For how long.")] = 90,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. Its secret is shown this once, and kept nowhere."""
    from kern.client.cli.tokens import TokenOptions, create_token

    options = TokenOptions(
        subject=subject,
        roles=tuple(role or ("operator",)),
        name=name,
        groups=tuple(group or ()),
        is_service=service,
        label=label,
        days=days,
    )
    create_token(options, as_json=as_json)


def tokens(_tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List tokens, the latest first, without their secrets."""
    from kern.client.cli.tokens import list_tokens

    list_tokens(as_json=as_json)


def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id.")],
    by: By = None,
    _tenant: Tenant = None,
) -> None:
    """Let nobody in with a token from now on."""
    from kern.client.cli.tokens import revoke_token

    revoke_token(token_id, by)


def signout(
    subject: Annotated[
        str | None,
        typer.Argument(metavar="SUBJECT", help="Whose sessions end: an id. None lists them."),
    ] = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """End the sessions of somebody in the console, or list who has signed in."""
    from kern.client.cli.sign_out import list_sessions, sign_out_person

    if subject is None:
        list_sessions(as_json=as_json)
    else:
        sign_out_person(subject, by, as_json=as_json)


def migrate(as_json: AsJson = False) -> None:
    """Make the tables, or bring them up to date."""
    from kern.client.cli.maintenance import migrate_database

    migrate_database(as_json=as_json)


def decisions(
    by: Annotated[
        str | None, typer.Option("--by", metavar="PERSON", help="Only of this person.")
    ] = None,
    tool: Annotated[str | None, typer.Option("--tool", help="Only about this tool.")] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only with this verdict.")] = None,
    limit: Limit = 20,
    after: After = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List decisions, the latest first: who decided what, when, and why."""
    from kern.client.cli.audit import print_decisions

    print_decisions(by=by, tool=tool, verdict=verdict, limit=limit, after=after, as_json=as_json)


def verify(
    run_id: AuditedRun = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="A head that was noted earlier.")
    ] = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Verify that no decision was changed, removed, added or reordered."""
    from kern.client.cli.audit import verify_log

    verify_log(run_id, head, as_json=as_json)


def export(
    run_id: AuditedRun = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Only runs that were decided about at this time or later.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Only runs that were decided about before it."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write to this file, not to standard output."),
    ] = None,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Also write notes, edits and values.")
    ] = False,
    _tenant: Tenant = None,
) -> None:
    """Write the log as JSON lines, which examples/verify_audit.py verifies without Kern."""
    from kern.client.cli.audit import export_log

    export_log(run_id, out, since=since, until=until, with_text=with_text)


def stuck(_tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show what should be progressing and is not: what, since when, and why; and the workers."""
    from kern.client.cli.stuck import print_stuck

    print_stuck(as_json=as_json)


def doctor(
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="APP", help="Also check that this app can be imported."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check everything that Kern depends on, without starting or changing anything."""
    from kern.client.cli.doctor import examine

    return examine(app, as_json=as_json)
