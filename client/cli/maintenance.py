"""Keeps the tables up to date."""

from kern.client.cli.access import require_database
from kern.client.cli.printing import say, say_json
from kern.client.service.installation import migrate
from kern.process.settings import read_settings


def migrate_database(*, as_json: bool) -> None:
    """Make the tables, or bring them up to date."""
    require_database("migrate")
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
