"""The commands about the installation: servers, workers, tables, the log of decisions."""

from pathlib import Path
from typing import Annotated

import typer

from kern.client.cli.options import App, AsJson, HealthHost, HealthPort, Tenant

_PANEL = "Operation"

AuditedRun = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="Only this run and those of its tree: its id, or the end of it."
    ),
]

audit = typer.Typer(help="Verify or export the log of decisions.")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, worker, migrate, doctor):
        app.command(rich_help_panel=_PANEL)(command)
    audit.command()(verify)
    audit.command()(export)
    app.add_typer(audit, name="audit", rich_help_panel=_PANEL)


def up(
    app: App = None,
    ui: Annotated[bool, typer.Option("--ui", help="Also serve Temporal's web pages.")] = False,
    health_host: HealthHost = None,
    health_port: HealthPort = None,
) -> None:
    """Start the folder's server and a worker in one, until Ctrl-C."""
    from kern.client.cli.serving import announce, serve_app

    announce(app)
    serve_app(app, ui=ui, health_host=health_host, health_port=health_port)


def worker(app: App = None, health_host: HealthHost = None, health_port: HealthPort = None) -> None:
    """Execute the runs of an app, until SIGTERM or Ctrl-C."""
    from kern.client.cli.serving import serve_app

    serve_app(app, ui=False, health_host=health_host, health_port=health_port)


def migrate(as_json: AsJson = False) -> None:
    """Make the tables, or bring them up to date."""
    from kern.client.cli.maintenance import migrate_database

    migrate_database(as_json=as_json)


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

    export_log(run_id, out, with_text=with_text)


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
