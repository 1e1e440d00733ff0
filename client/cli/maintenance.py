"""Keeps the tables up to date, and verifies the log of decisions."""

from kern.client.cli.access import perform
from kern.client.cli.printing import count, say, say_json
from kern.client.service.installation import migrate
from kern.contracts.viewer import OPERATOR
from kern.process.settings import read_settings


def migrate_database(*, as_json: bool) -> None:
    """Make the tables, or bring them up to date."""
    done = migrate(read_settings())
    if as_json:
        change = {"from": done.before, "to": done.after, "min_reader": done.min_reader}
        say_json({"database": done.database, **change})
        return
    is_new = done.before != done.after
    change_text = f"brought from {done.before or 'nothing'} to" if is_new else "already at"
    newer = f", newer than this version's {done.code}" if done.after > done.code else ""
    say(f"{done.database}: {change_text} revision {done.after}{newer}.")
    say(f"Kern can work with it from revision {done.min_reader} on.")


def verify_chain(head: str | None, *, as_json: bool) -> None:
    """Verify the log of decisions.

    Raises:
        AuditBroken: it does not verify; the message names the first decision that does not.
    """
    report = perform(lambda service: service.audit.verify(OPERATOR, head))
    if as_json:
        say_json({"decisions": report.decisions, "head": report.head, "verified": True})
        return
    say(f"The log of decisions is intact: {count(report.decisions, 'decision')}.")
    say(f"Head: {report.head}")
    say(
        "Note it elsewhere: `kern audit verify --head HASH` then shows that nothing was rewritten "
        "since."
    )
