"""Keeps the tables up to date, and checks the chain of decisions."""

from kern.client.cli import store
from kern.client.cli.printing import count, say, say_json
from kern.db.engine.from_settings import open_store
from kern.db.journal import audit_chain
from kern.db.migrations import HEAD
from kern.process.settings import read_settings


def migrate_database(*, as_json: bool) -> None:
    """Make the tables, or bring them up to date."""
    db = open_store(read_settings())
    try:
        before = store.revision(db)
        db.migrate()
    finally:
        db.close()
    if as_json:
        say_json({"database": db.name, "from": before, "to": HEAD})
        return
    change = "already at" if before == HEAD else f"brought from {before or 'nothing'} to"
    say(f"{db.name}: {change} revision {HEAD}.")


def verify_chain(head: str | None, *, as_json: bool) -> None:
    """Walk the chain of decisions.

    Raises:
        AuditBroken: it does not verify; the message names the first decision that does not.
    """
    with store.existing_database(read_settings()) as db:
        report = db.read_now(lambda tx: audit_chain.verify(tx, head))
    if as_json:
        say_json({"decisions": report.decisions, "head": report.head, "verified": True})
        return
    say(f"The chain is whole: {count(report.decisions, 'decision')}.")
    say(f"Head: {report.head}")
    say(
        "Note it elsewhere: `kern audit verify --head HASH` then shows that nothing was rewritten "
        "since."
    )
