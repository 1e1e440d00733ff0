"""Alembic's entry point: runs Kern's migrations on the connection that `migrate` opened."""

from alembic import context

from kern.db.engine import (
    access_tables,
    policy_tables,
    requirement_tables,
    seal_tables,
    step_tables,
    tables,
)
from kern.db.engine.base import KernRow
from kern.db.engine.schema import schema_of
from kern.db.migrations.compatibility import VERSION_TABLE, add_min_reader, write_min_reader
from kern.db.migrations.migrate import prepare_schema

_ = tables, requirement_tables, step_tables, policy_tables, seal_tables, access_tables
connection = context.config.attributes["connection"]
prepare_schema(connection)
context.configure(
    connection=connection,
    target_metadata=KernRow.metadata,
    # Alembic's default is `alembic_version`, which is the application's.
    version_table=VERSION_TABLE,
    version_table_schema=schema_of(connection),
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
    add_min_reader(connection)
    for head in context.get_context().get_current_heads():
        write_min_reader(connection, context.script.get_revision(head).module.min_reader)
