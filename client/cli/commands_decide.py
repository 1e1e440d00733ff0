"""The commands of the inbox: list requirements, and decide them."""

from typing import Annotated

import typer

from kern.client.cli.options import (
    After,
    AsJson,
    By,
    Confirms,
    Digests,
    Limit,
    Note,
    RequirementIds,
    Tenant,
    UserFilter,
)
from kern.values.states import InboxOrder, RequirementKind, Risk

_PANEL = "Decisions"
Values = Annotated[
    list[str] | None,
    typer.Option("--value", metavar="NAME=VALUE", help="A value that was asked for: JSON or text."),
]
ValuesAsJson = Annotated[
    str | None, typer.Option("--values", metavar="JSON", help="All values as one JSON object.")
]
Result = Annotated[
    str | None,
    typer.Option(
        "--result", metavar="VALUE", help="What the call gave that ran elsewhere: JSON or text."
    ),
]
Unknown = Annotated[
    bool,
    typer.Option(
        "--unknown",
        help="Nobody knows whether the call happened that ran elsewhere; --note says why.",
    ),
]
Happened = Annotated[
    str | None,
    typer.Option(
        "--happened", metavar="VALUE", help="The call did happen, and gave this: JSON or text."
    ),
]
EvenIfRunning = Annotated[
    bool,
    typer.Option(
        "--even-if-running",
        help="With --run-again: also while the first attempt is known to be executing.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (inbox, pending, approve, reject, answer, withdraw):
        app.command(rich_help_panel=_PANEL)(command)


def inbox(
    person: Annotated[
        str | None,
        typer.Option("--for", metavar="NAME", help="What waits for this person. Default: for you."),
    ] = None,
    mine: Annotated[
        bool, typer.Option("--mine", help="What waits for you, as KERN_BY or --by names you.")
    ] = False,
    everybody: Annotated[bool, typer.Option("--all", help="What waits for anybody.")] = False,
    tool: Annotated[
        str | None, typer.Option("--tool", metavar="TOOL", help="Only about this tool or step.")
    ] = None,
    component: Annotated[
        str | None, typer.Option("--component", metavar="ID", help="Only of this component's runs.")
    ] = None,
    kind: Annotated[RequirementKind | None, typer.Option(help="Only of this kind.")] = None,
    risk: Annotated[Risk | None, typer.Option(help="Only of this risk.")] = None,
    due: Annotated[
        str | None,
        typer.Option("--due", metavar="LENGTH", help="Only what is due within 30min, 4h, 2d, ..."),
    ] = None,
    user: UserFilter = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Only of this run.")
    ] = None,
    sort: Annotated[InboxOrder, typer.Option(help="What comes first.")] = InboxOrder.due,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay open, and ring when something new waits.")
    ] = False,
    limit: Limit = 50,
    after: After = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Walk through what waits for you, one decision after another, with single keys.

    Off a terminal it prints a table, and with `--json` the page that the HTTP API gives.
    """
    from kern.client.cli.access import decider
    from kern.client.cli.walk.command import PageOptions, open_inbox
    from kern.client.cli.walk.query import InboxQuery, length_of

    names = [name for name, is_set in (("--for", person), ("--mine", mine), ("--all", everybody))
             if is_set]  # fmt: skip
    if len(names) > 1:
        raise typer.BadParameter(f"{names[0]} and {names[1]} contradict each other: give one.")
    is_own = person is None and not everybody
    name = decider(by) if is_own else None
    query = InboxQuery(
        person=name if is_own else person,
        user=user,
        run=run,
        kind=kind,
        tool=tool,
        component=component,
        risk=risk,
        due_within=None if due is None else length_of(due),
        sort=sort,
    )
    options = PageOptions(limit, after, is_watching=watch, as_json=as_json)
    return open_inbox(query, options, lambda: name or decider(by))


def pending(
    user: UserFilter = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Only of this run.")
    ] = None,
    kind: Annotated[RequirementKind | None, typer.Option(help="Only of this kind.")] = None,
    limit: Limit = 50,
    after: After = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List what waits for a person, the oldest first."""
    from kern.client.cli.inbox import print_pending

    print_pending(user=user, run=run, kind=kind, limit=limit, after=after, as_json=as_json)


def approve(
    requirement_ids: RequirementIds,
    edit: Annotated[
        str | None,
        typer.Option(
            "--edit", metavar="JSON", help="Arguments to change, such as '{\"amount\": 30}'."
        ),
    ] = None,
    digests: Digests = None,
    confirms: Confirms = None,
    note: Note = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Approve a call, as it stands or with other arguments.

    Nothing runs but what was shown. With the digest of a proposal, it is agreed with that. Beside
    `--edit`, the digest is that of the call before or after the edit.
    """
    from kern.client.cli.deciding import Display, approve_calls

    display = Display(digests or (), confirms or (), as_json=as_json)
    return approve_calls(requirement_ids, display, edit=edit, note=note, by=by)


def reject(
    requirement_ids: RequirementIds,
    note: Note = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Reject a requirement.

    A gated call will not run; a reviewed step is executed again unless `on_reject` says otherwise.
    """
    from kern.client.cli.deciding import reject_calls

    return reject_calls(requirement_ids, note=note, by=by, as_json=as_json)


def answer(
    requirement_ids: RequirementIds,
    value: Values = None,
    values: ValuesAsJson = None,
    choice: Annotated[
        list[str] | None, typer.Option("--choice", metavar="TEXT", help="One of the choices.")
    ] = None,
    result: Result = None,
    unknown: Unknown = False,
    happened: Happened = None,
    run_again: Annotated[
        bool, typer.Option("--run-again", help="Run the call or the step again.")
    ] = False,
    even_if_running: EvenIfRunning = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Continue without the step that failed.")
    ] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Fail the run, or the step.")] = False,
    digests: Digests = None,
    confirms: Confirms = None,
    note: Note = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Give what was asked for: values, choices, a result, or what became of a call.

    Without an option it asks, on a terminal. What lets a call run, or says what it did, needs its
    digest off a terminal, as `kern approve` does.
    """
    from kern.client.cli.answers import AnswerOptions
    from kern.client.cli.deciding import Display, answer_requirements

    options = AnswerOptions(
        value=tuple(value or ()),
        values=values,
        choice=tuple(choice or ()),
        result=result,
        unknown=unknown,
        happened=happened,
        run_again=run_again,
        even_if_running=even_if_running,
        skip=skip,
        fail=fail,
    )
    display = Display(digests or (), confirms or (), as_json=as_json)
    return answer_requirements(requirement_ids, options, display, note=note, by=by)


def withdraw(
    requirement_ids: RequirementIds,
    note: Note = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Take back your own approval, as long as the call has not begun.

    A requirement that was resolved by it is open again. Afterwards you may decide otherwise.
    """
    from kern.client.cli.deciding import withdraw_votes

    return withdraw_votes(requirement_ids, note=note, by=by, as_json=as_json)
