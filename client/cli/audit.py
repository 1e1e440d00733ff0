"""Lists, verifies and exports the log of decisions."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TextIO

from kern.client.cli.access import perform
from kern.client.cli.identifiers import run_named
from kern.client.cli.printing import count, say, say_json, say_table, show_id, show_time
from kern.client.cli.triage import zoned_time
from kern.client.service.operations import OperatorService
from kern.contracts.reports import AuditReport
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.values.states import Verdict

_HASH_LENGTH = 10


def print_decisions(
    *,
    by: str | None,
    tool: str | None,
    verdict: Verdict | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Print a page of the log of decisions, the latest first."""
    page = perform(
        lambda service: service.audit.decisions(
            present_operator(), limit=limit, cursor=after, by=by, tool=tool, verdict=verdict
        )
    )
    if as_json:
        documents = [decision.model_dump(mode="json") for decision in page.decisions]
        say_json({"decisions": documents, "next": page.next_cursor})
        return
    if not page.decisions:
        say("No decisions.")
        return
    say_table(
        ("WHEN", "WHO", "VERDICT", "REQUIREMENT", "RUN", "HASH", "NOTE"),
        [
            (
                show_time(decision.at),
                decision.by,
                decision.verdict.value,
                show_id(decision.requirement_id),
                show_id(decision.run_id),
                decision.hash[:_HASH_LENGTH],
                decision.note or "",
            )
            for decision in page.decisions
        ],
    )
    if page.next_cursor is not None:
        rows = count(len(page.decisions), "row")
        say(
            f"{rows}; continue with `kern audit list --after {page.next_cursor}` and the same "
            "filters."
        )


def verify_log(run_id: str | None, head: str | None, *, as_json: bool) -> None:
    """Verify the log of decisions, or the part of one run or one tenant.

    Raises:
        AuditBroken: it does not verify; the message names the first decision or seal that does not.
    """

    async def verify(service: OperatorService) -> AuditReport:
        run = await _run_named(service, run_id)
        return await service.audit.verify(present_operator(), run, head)

    report = perform(verify)
    if as_json:
        say_json({**report.model_dump(mode="json"), "verified": True})
        return
    decisions = count(report.decisions, "decision")
    if report.root_run_id is None:
        say(f"The log of decisions{_of_tenant(report)} is intact: {decisions}.")
        _say_unsealed(report)
        say(f"Head: {report.head}")
        say(
            "Note it elsewhere: `kern audit verify --head HASH` then shows that nothing was "
            "rewritten since."
        )
        return
    say(f"The decisions of run {report.root_run_id} are intact: {decisions}.")
    _say_unsealed(report)
    say(f"Seals: {report.seals}. Last hash of the run: {report.head}")
    say("That the seals are part of the log is shown by `kern audit verify`, without a run.")


def _of_tenant(report: AuditReport) -> str:
    if report.tenant is None:
        return ""
    return f" of tenant {report.tenant!r}" if report.tenant else " of the default tenant"


def _say_unsealed(report: AuditReport) -> None:
    if report.unsealed_since is not None:
        say(
            f"{count(report.unsealed, 'decision')} not sealed yet, the first of "
            f"{report.unsealed_since:%Y-%m-%d %H:%M:%S} UTC: a worker seals them within seconds."
        )


def export_log(
    run_id: str | None,
    out: Path | None,
    *,
    since: str | None,
    until: str | None,
    with_text: bool,
) -> None:
    """Write the log of decisions, or a part of it, as lines of JSON.

    A file is complete once it has its name.

    Raises:
        InvalidInput: a time is none with a zone, or the file cannot be written.
    """
    first, end = _time("--from", since), _time("--to", until)

    async def write(service: OperatorService, file: TextIO) -> int:
        run = await _run_named(service, run_id)
        lines = service.audit.export(
            present_operator(), run, since=first, until=end, with_text=with_text
        )
        number = 0
        async for line in lines:
            file.write(line + "\n")
            number += 1
        return number

    if out is None:
        perform(lambda service: write(service, sys.stdout))
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w", encoding="ascii", newline="\n") as file:
            lines = perform(lambda service: write(service, file))
        part.replace(out)
    except OSError as error:
        message = f"{str(out)!r} cannot be written: {error.strerror}. Name another file."
        raise InvalidInput(message) from error
    finally:
        part.unlink(missing_ok=True)
    say(f"{count(lines, 'line')} in {out}. Verify them with `python verify_audit.py {out}`.")


async def _run_named(service: OperatorService, run_id: str | None) -> str | None:
    # The log outlives its runs: an id that no run has any more is looked up in it as it is.
    return None if run_id is None else await run_named(service, run_id)


def _time(name: str, text: str | None) -> datetime | None:
    moment = None if text is None else zoned_time(text)
    if text is not None and moment is None:
        message = f"{name} is {text!r}: give a time with its zone, such as 2026-12-01T09:00+01:00."
        raise InvalidInput(message)
    return moment
