"""The registry of Kern's own tables, apart from `SQLModel.metadata`.

An application in the same process may declare tables and classes of any name: two registries share
neither. In the database, every name of Kern's begins with `kern_`: SQLite has one namespace for the
tables and indexes of a file.
"""

from sqlalchemy import MetaData
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

PREFIX = "kern_"

# Each constraint and index has a name that follows from its table's: a later migration can address
# it on every database, and it has the table's prefix.
_NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_by_%(column_0_N_name)s",
}
# Without a schema: a store on Postgres adds its own to each statement (`kern.db.engine.schema`).
_REGISTRY = registry(metadata=MetaData(naming_convention=_NAMES))


class KernRow(SQLModel, registry=_REGISTRY):
    """The base of the row classes of all of Kern's tables."""


def row_class(table_name: str) -> type[KernRow]:
    """Return the class that declares a table."""
    table = KernRow.metadata.tables[table_name]
    return next(mapper.class_ for mapper in _REGISTRY.mappers if mapper.local_table is table)
