"""Says that somebody is away or back, and prints who is away."""

from kern.client.cli.access import decider, perform
from kern.client.cli.printing import one_line, say, say_json, say_table, show_time, with_tenants
from kern.client.cli.triage import moment_of
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.process.clock import utc_now


def begin_absence(
    until: str, *, since: str | None, note: str | None, by: str | None, as_json: bool
) -> None:
    """Say that a person is away.

    Raises:
        InvalidInput: a time makes no sense.
    """
    viewer, name, now = present_operator(), decider(by), utc_now()
    end = moment_of(until, now)
    start = None if since is None else moment_of(since, now, "--since")
    absence = perform(
        lambda service: service.absences.begin(viewer, end, name, since=start, note=note)
    )
    if as_json:
        say_json({"absence": absence.model_dump(mode="json")})
        return
    is_planned = start is not None and start > now
    begins = f"from {show_time(absence.since)} " if is_planned else ""
    say(f"{one_line(absence.by.name)} is away {begins}until {show_time(absence.until)}.")
    say("They may still decide, and are asked as before. `kern away --back` ends it.")


def end_absence(*, by: str | None, as_json: bool) -> None:
    """Say that a person is back."""
    viewer, name = present_operator(), decider(by)
    was_away = perform(lambda service: service.absences.end(viewer, name))
    if as_json:
        say_json({"ended": was_away})
    else:
        say(f"{one_line(name)} is back." if was_away else f"{one_line(name)} was not away.")


def list_absences(limit: int, after: str | None, *, is_alone: bool, as_json: bool) -> None:
    """List who is away now.

    Raises:
        InvalidInput: something was asked for beside it.
    """
    if not is_alone:
        message = (
            "Say --until when you are away, such as 3d, with --since and --note if you want, or "
            "--back alone."
        )
        raise InvalidInput(message)
    viewer = present_operator()
    page = perform(lambda service: service.absences.page(viewer, limit=limit, cursor=after))
    if as_json:
        documents = [absence.model_dump(mode="json") for absence in page.absences]
        say_json({"absences": documents, "next": page.next_cursor})
        return
    if not page.absences:
        say("Nobody is away.")
        return
    rows = [
        (
            absence.by.name,
            show_time(absence.since),
            show_time(absence.until),
            absence.note or "",
        )
        for absence in page.absences
    ]
    tenants = [absence.by.tenant for absence in page.absences]
    say_table(*with_tenants(("NAME", "SINCE", "UNTIL", "NOTE"), rows, tenants))
    if page.next_cursor is not None:
        say(f"There are more; continue with `kern away --after {page.next_cursor}`.")
