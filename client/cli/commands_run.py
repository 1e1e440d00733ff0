"""The commands about runs: start, list, show, follow, retry and cancel them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kern.client.cli.options import After, AsJson, By, ChangeNote, Limit, RunId, Tenant, UserFilter
from kern.values.states import RunStatus

_PANEL = "Runs"


class DemoDecision(StrEnum):
    """What the demonstration decides off a terminal."""

    approve = "approve"
    reject = "reject"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=_PANEL)(demo)
    app.command(rich_help_panel=_PANEL)(run)
    app.command(rich_help_panel=_PANEL)(runs)
    app.command(rich_help_panel=_PANEL)(show)
    app.command(rich_help_panel=_PANEL)(events)
    app.command(rich_help_panel=_PANEL)(retry)
    app.command(rich_help_panel=_PANEL)(cancel)


def demo(
    request: Annotated[
        str, typer.Argument(help="What to ask of the support agent.")
    ] = "Refund order 1042, 40 EUR",
    decision: Annotated[
        DemoDecision | None,
        typer.Option(help="Decide this instead of asking; needed off a terminal."),
    ] = None,
    amount: Annotated[
        float | None, typer.Option(help="With --decision approve: refund this amount instead.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="With --decision: why.")] = None,
    crash: Annotated[
        bool,
        typer.Option("--crash", help="Kill the worker after the approval, and see the run finish."),
    ] = False,
    desk: Annotated[
        bool, typer.Option("--desk", help="Decide in a browser: serve the console, until Ctrl-C.")
    ] = False,
) -> int:
    """Watch an agent ask to refund an order, and decide."""
    from kern.client.cli.access import require_database
    from kern.client.cli.demo.options import choice_of, say_model

    require_database("demo")
    choice = choice_of(decision and decision.value, amount, note)
    say_model()
    if desk:
        from kern.client.cli.demo.desk import run_desk_demo

        run_desk_demo()
    if crash:
        from kern.client.cli.demo.crash import run_crash_demo

        return run_crash_demo(request)
    from kern.client.cli.demo.main import run_demo

    return run_demo(request, choice)


def run(
    app: Annotated[
        str,
        typer.Argument(metavar="APP", help="package.module:attribute or path/to/file.py:attribute"),
    ],
    text: Annotated[str, typer.Argument(metavar="INPUT", help="What the user says.")],
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", metavar="PATH", help="An image for the model; repeatable."),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="PATH", help="A file for the model; repeatable."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Whose run it is.")] = None,
    session: Annotated[
        str | None, typer.Option(help="The conversation to continue. Default: a new one.")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Accept the run and leave it to a worker.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who decides at the prompt.")] = None,
    no_prompt: Annotated[
        bool, typer.Option("--no-prompt", help="Do not ask for decisions, as off a terminal.")
    ] = False,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Run an agent until it has answered, and ask for the decisions that it waits for.

    Off a terminal a run that waits for a person is left waiting, and the exit code is 10.
    """
    from kern.client.cli.running import Order, run_app
    from kern.media import File, Image

    order = Order(
        text,
        images=tuple(Image(path=path) for path in image or ()),
        files=tuple(File(path=path) for path in file or ()),
        user=user,
        session=session,
        background=background,
    )
    return run_app(app, order, by=by, may_ask=not no_prompt, as_json=as_json)


def runs(
    status: Annotated[RunStatus | None, typer.Option(help="Only runs with this status.")] = None,
    user: UserFilter = None,
    component: Annotated[
        str | None, typer.Option("--component", metavar="ID", help="Only runs of this component.")
    ] = None,
    limit: Limit = 20,
    after: After = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the latest first."""
    from kern.client.cli.inbox import print_runs

    print_runs(
        status=status, user=user, component=component, limit=limit, after=after, as_json=as_json
    )


def show(run_id: RunId, _tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show what happened in a run: its turns, calls, decisions and cost."""
    from kern.client.cli.show import print_report

    print_report(run_id, as_json=as_json)


def events(
    run_id: RunId,
    after: Annotated[
        int, typer.Option("--after", min=0, metavar="N", help="Only those after number N.")
    ] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow until the run pauses or ends.")
    ] = False,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List what happened in a run, with the text of each turn; --json prints one object a line."""
    from kern.client.cli.events import print_events

    print_events(run_id, after=after, follow=follow, as_json=as_json)


def retry(
    run_id: RunId,
    note: ChangeNote = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Continue a run that failed where it stopped, without repeating what has ended."""
    from kern.client.cli.deciding import retry_run

    retry_run(run_id, note=note, by=by, as_json=as_json)


def cancel(
    run_id: RunId,
    note: ChangeNote = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a run: nothing new begins in it."""
    from kern.client.cli.deciding import cancel_run

    cancel_run(run_id, note=note, by=by, as_json=as_json)
