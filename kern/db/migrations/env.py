"""Tells Alembic which connection and which tables to work with."""

from alembic import context
from sqlmodel import SQLModel

from kern.db.engine import step_tables, tables

_ = tables, step_tables
connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
