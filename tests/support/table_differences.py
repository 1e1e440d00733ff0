"""Compares a store's tables with those that the code declares."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, inspect
from sqlalchemy.sql.schema import SchemaConst

from kern.db.engine import (
    access_tables,
    policy_tables,
    requirement_tables,
    seal_tables,
    step_tables,
    tables,
    triage_tables,
)
from kern.db.engine.base import PREFIX, KernRow
from kern.db.engine.schema import schema_of
from kern.db.engine.store import Store
from kern.db.migrations.compatibility import VERSION_TABLE

_ = (
    *(tables, requirement_tables, step_tables, policy_tables, seal_tables),
    *(access_tables, triage_tables),
)


def table_differences(store: Store) -> list[object]:
    """Return the changes that would make the store's tables those of the code.

    Tables without Kern's prefix are somebody else's.
    """
    schema = schema_of(store.engine)
    # Alembic compares by qualified names, and the tables are declared without a schema.
    declared = MetaData(schema=schema, naming_convention=KernRow.metadata.naming_convention)
    for table in KernRow.metadata.sorted_tables:
        table.to_metadata(declared, schema=schema or SchemaConst.RETAIN_SCHEMA)

    def include_name(name: str | None, kind: str, _parents: object) -> bool:
        if kind == "schema":
            return name == schema
        return kind != "table" or str(name).startswith(PREFIX)

    options = {
        "version_table": VERSION_TABLE,
        "version_table_schema": schema,
        "include_schemas": schema is not None,
        "include_name": include_name,
    }
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = list(compare_metadata(context, declared))
        tables = inspect(connection).get_table_names(schema=schema)
    names = {name for name in tables if name.startswith(PREFIX)}
    expected = {*KernRow.metadata.tables, VERSION_TABLE}
    return [*found, *(names ^ expected)]
