"""What a person reads before they decide: why a call came up, and what its run has done."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from rich.text import Text

from kern.client.cli.access import Connection
from kern.client.cli.printing import console
from kern.client.cli.show import print_run
from kern.client.cli.walk.following import call_of
from kern.client.cli.walk.screen import quoted
from kern.client.console.history import messages_of
from kern.client.console.people import NOBODY, away_notes
from kern.contracts.reports import LONGEST_PAGE, RunReport
from kern.contracts.triage import away_until, named_keys
from kern.contracts.viewer import present_operator
from kern.errors import KernError
from kern.requirements import Requirement
from kern.values.states import Effect
from kern.values.visible_text import plain

# So deep are runs in runs, at most.
_LEVELS = 20


def why(connection: Connection, item: Requirement, width: int) -> list[Text]:
    """Return the lines that show what the person asked for, and what the agents said."""
    lines: list[Text] = []
    for report in _from_the_root(connection, item.run_id):
        speeches, number = messages_of(report)
        if number > len(speeches):
            lines.append(Text(f" The last {len(speeches)} of {number:,} messages:"))
        for speech in speeches:
            lines.append(Text(f" {plain(speech.speaker, ':')}:", "bold"))
            lines += quoted(speech.text, width)
    return lines or [Text(" No messages.")]


def run_lines(connection: Connection, run_id: str) -> list[Text]:
    """Return the lines that show a run, as `kern show` prints them."""
    report = _report(connection, run_id)
    with console().capture() as capture:
        print_run(report)
    return [Text.from_ansi(line) for line in capture.get().splitlines()]


def effect_of(connection: Connection, item: Requirement) -> Effect:
    """Return what repeating a call would do."""
    viewer = present_operator()
    run = connection.call(lambda service: service.runs.read(viewer, item.run_id))
    call = call_of(run, item)
    return Effect.once if call is None else call.effect


def away(connection: Connection, item: Requirement, now: datetime) -> Mapping[str, str]:
    """Return what is said of those who are away, where a decision names people.

    It is a hint: where it cannot be read, the decision is shown without it.
    """
    if not named_keys(item):
        return NOBODY
    viewer = present_operator()
    with suppress(KernError):
        page = connection.call(lambda service: service.absences.page(viewer, limit=LONGEST_PAGE))
        return away_notes(
            away_until(each for each in page.absences if each.by.tenant == item.tenant), now
        )
    return NOBODY


def _from_the_root(connection: Connection, run_id: str) -> list[RunReport]:
    """Return the reports of a run and of those above it, the highest first."""
    reports = [_report(connection, run_id)]
    while reports[0].run.parent_run_id is not None and len(reports) < _LEVELS:
        reports.insert(0, _report(connection, reports[0].run.parent_run_id))
    return reports


def _report(connection: Connection, run_id: str) -> RunReport:
    viewer = present_operator()
    return connection.call(lambda service: service.runs.report(viewer, run_id))
