"""The commands of triage: claim, hand on, put off, comment on what waits; and who is away."""

from typing import Annotated

import typer

from kern.client.cli.options import (
    After,
    AsJson,
    By,
    Limit,
    RequirementId,
    RequirementIds,
    Tenant,
)

_PANEL = "Triage"
# As the service has it, which is slow to import.
_MINUTES = 30
Why = Annotated[str | None, typer.Option("--note", help="Why; it is kept as a comment.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (claim, release, delegate, snooze, comment, away):
        app.command(rich_help_panel=_PANEL)(command)


def claim(
    requirement_ids: RequirementIds,
    minutes: Annotated[
        int, typer.Option("--minutes", min=1, max=480, help="For how long.")
    ] = _MINUTES,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Take care of a requirement for a while, so that others see it.

    It keeps nobody from deciding, and is over by itself. Claiming again extends it.
    """
    from kern.client.cli.triage import claim_requirements

    return claim_requirements(requirement_ids, minutes=minutes, by=by, as_json=as_json)


def release(
    requirement_ids: RequirementIds,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """End your own claim."""
    from kern.client.cli.triage import release_requirements

    return release_requirements(requirement_ids, by=by, as_json=as_json)


def delegate(
    requirement_ids: RequirementIds,
    to: Annotated[
        str, typer.Option("--to", metavar="NAME", help="A person, or group: and a group's name.")
    ],
    note: Why = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Hand a decision to another person or group, who may decide it from now on.

    Whoever the rule excludes stays excluded, and you have one voice with those who take it over.
    """
    from kern.client.cli.triage import delegate_requirements

    return delegate_requirements(requirement_ids, to=to, note=note, by=by, as_json=as_json)


def snooze(
    requirement_ids: RequirementIds,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="30m, 2h, 3d, or a time with its zone; 30 days at most."
        ),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Have it back.")] = False,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Put a requirement off: until then it is not among what waits for you.

    Nothing is hidden from anybody else, and it is back an hour before it is due.
    """
    from kern.client.cli.triage import snooze_requirements

    return snooze_requirements(requirement_ids, until=until, off=off, by=by, as_json=as_json)


def comment(
    requirement_id: RequirementId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Up to 8,000 characters.")],
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> int:
    """Write something about a requirement, open or closed, for the people who read it."""
    from kern.client.cli.triage import comment_on

    return comment_on(requirement_id, text, by=by, as_json=as_json)


def away(
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="8h, 3d, or a time with its zone; 366 days at most."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="From when on, as --until. Default: now."),
    ] = None,
    note: Annotated[
        str | None, typer.Option("--note", help="Something that people who look read.")
    ] = None,
    is_back: Annotated[bool, typer.Option("--back", help="Say that you are back.")] = False,
    limit: Limit = 50,
    after: After = None,
    by: By = None,
    _tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Say that you are away, or that you are back; without options, list who is away.

    People see it where a decision names you. You may still decide, and it waits for you as before.
    """
    from kern.client.cli.absences import begin_absence, end_absence, list_absences

    if until is not None and not is_back:
        begin_absence(until, since=since, note=note, by=by, as_json=as_json)
    elif is_back and not (until or since or note):
        end_absence(by=by, as_json=as_json)
    else:
        list_absences(limit, after, is_alone=not (is_back or since or note), as_json=as_json)
