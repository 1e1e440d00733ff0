"""Opens what a command reads and writes: the settings, and a database that exists."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from kern.db.engine.from_settings import database_file, open_store
from kern.db.engine.store import Store, reason
from kern.db.migrations import HEAD
from kern.db.migrations.migrate import revision_of
from kern.errors import Conflict, NotFound, Unavailable
from kern.process.settings import Settings


@contextmanager
def existing_database(settings: Settings) -> Generator[Store]:
    """Open the database for a command that makes none.

    Raises:
        NotFound: nothing was ever kept there.
        Conflict: its tables belong to another version of Kern.
        Unavailable: it does not answer.
    """
    require_file(settings)
    db = open_store(settings)
    try:
        _check(db, revision(db))
        yield db
    finally:
        db.close()


def revision(db: Store) -> str | None:
    """Return the revision of a database's tables, None if it has none.

    Raises:
        Unavailable: it does not answer.
    """
    try:
        return revision_of(db)
    except DBAPIError as error:
        message = f"The database {db.name} does not answer: {reason(error)}."
        raise Unavailable(message) from error


def require_file(settings: Settings) -> None:
    """Refuse to go on where the database would have to be made.

    Raises:
        NotFound: the file does not exist.
    """
    path = database_file(settings)
    if path is not None and not path.exists():
        message = (
            f"There is no database at {str(path.absolute())!r}: nothing was run here yet. Change "
            "to the folder in "
            "which it was, or set KERN_HOME or KERN_DATABASE_URL."
        )
        raise NotFound(message)


def _check(db: Store, found: str | None) -> None:
    if found is None:
        message = (
            f"The database {db.name} has no tables: nothing was run with it yet. `kern migrate` "
            "makes them."
        )
        raise NotFound(message)
    if found < HEAD:
        message = (
            f"The database {db.name} is at revision {found}, this version of Kern needs {HEAD}: "
            "run `kern migrate`."
        )
        raise Conflict(message)
    if found > HEAD:
        message = (
            f"The database {db.name} is at revision {found}, this version of Kern knows only "
            f"{HEAD}: install the newer one."
        )
        raise Conflict(message)
