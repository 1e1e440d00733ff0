"""The database that the settings name."""

from pathlib import Path

from kern.db.engine.store import Store
from kern.db.engine.stores import SqliteStore, store_from_url
from kern.process.settings import Settings

_FILE = "kern.db"


def open_store(settings: Settings) -> Store:
    """Return the runtime's own database: `KERN_DATABASE_URL`, else SQLite in the folder."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        listening = settings.listen_url
        listen_url = None if listening is None else listening.get_secret_value()
        return store_from_url(url, settings.database_schema, listen_url)
    return SqliteStore(database_path(settings.home))


def database_path(home: Path) -> Path:
    """Return the path of a folder's own database."""
    return home / _FILE


def database_file(settings: Settings) -> Path | None:
    """Return the file that holds the database, whether it exists or not; None for a server."""
    if settings.database_url is None:
        return database_path(settings.home)
    scheme, _, path = settings.database_url.get_secret_value().partition("://")
    is_file = scheme.partition("+")[0] == "sqlite" and path.strip("/")
    return Path(path.removeprefix("/")).expanduser() if is_file else None
