"""Options that several commands have in common."""

from typing import Annotated

import typer


def _in_lower_case(texts: list[str] | None) -> list[str] | None:
    return None if texts is None else [text.lower() for text in texts]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
By = Annotated[
    str | None, typer.Option("--by", help="Who acts. Default: the user of this machine.")
]
ChangeNote = Annotated[str | None, typer.Option("--note", help="Why, for people.")]
Note = Annotated[str | None, typer.Option("--note", help="Why; the model gets it as well.")]
Digests = Annotated[
    list[str] | None,
    typer.Option(
        "--digest",
        metavar="DIGEST",
        callback=_in_lower_case,
        help="What was shown: 8 characters or more of its digest, from `kern pending` or `kern "
        "show`; once for each ID. Without it the call is shown, and confirmed on a terminal.",
    ),
]
Confirms = Annotated[
    list[str] | None,
    typer.Option(
        "--confirm",
        metavar="TEXT",
        help="What has to be typed before this call may run, such as its amount, or its amount as "
        "edited; once for each ID. Without it a terminal asks for it.",
    ),
]
RequirementId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The requirement's id, or that of the run that waits for it, or their last 6 "
        "characters or more.",
    ),
]
RequirementIds = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...",
        help="The requirement's id, or that of the run that waits for it, or their last 6 "
        "characters or more. Each of several is treated on its own.",
    ),
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The run's id, or that of a decision that it waits for, or their last 6 characters or "
        "more.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]
After = Annotated[
    str | None,
    typer.Option("--after", metavar="ID", help="Continue after this one, the last of a page."),
]


def _act_for(context: typer.Context, name: str | None) -> None:
    if name is not None:
        from kern.process.tenants import acting_for

        context.with_resource(acting_for(name))


# The callback takes it: the command acts for the tenant without knowing it.
Tenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        callback=_act_for,
        help="Act for this tenant; '' is the default one (KERN_TENANT). Default: for all.",
    ),
]
UserFilter = Annotated[str | None, typer.Option("--user", help="Only what belongs to this user.")]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="APP",
        help="package.module:attribute or path/to/file.py:attribute (KERN_APP)",
    ),
]
HealthHost = Annotated[
    str | None, typer.Option("--health-host", help="Where health is served (KERN_HEALTH_HOST).")
]
HealthPort = Annotated[
    int | None,
    typer.Option("--health-port", help="0 for any; none: not served (KERN_HEALTH_PORT)."),
]
