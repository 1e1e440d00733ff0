"""SQL behind Kern's back, in the schema of a store's tables."""

from typing import Any

from sqlalchemy import CursorResult, text
from sqlmodel import Session

from kern.db.migrations.migrate import enter_schema


def execute_sql(tx: Session, statement: str, /, **values: object) -> CursorResult[Any]:
    """Execute a statement that names tables without their schema."""
    enter_schema(tx.connection())
    return tx.connection().execute(text(statement), values)
