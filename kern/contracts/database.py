"""The database that a component is declared with."""

from abc import ABC, abstractmethod


class Database(ABC):
    """Where runs are kept: `SqliteDb`, `PostgresDb` or `InMemoryDb` of `kern.db`.

    Two are equal if they name the same rows.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The database as it may be shown, without secrets."""

    @abstractmethod
    def migrate(self) -> None:
        """Bring the tables up to date; several processes may call it at once.

        Raises:
            Unavailable: the database does not answer.
            Conflict: a newer version of Kern made the tables, and this one cannot work with them.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back threads and connections."""
