"""Seconds between two times, computed by the database."""

from typing import Any

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Seconds(FunctionElement[float]):
    """The seconds from the first time to the second; NULL if one is."""

    name = "seconds"
    type = Float()
    inherit_cache = True


@compiles(Seconds, "sqlite")
def _in_sqlite(element: Seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's signature
    start, end = (compiler.process(one, **options) for one in element.clauses)
    return f"((julianday({end}) - julianday({start})) * 86400.0)"


@compiles(Seconds, "postgresql")
def _in_postgres(element: Seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  as above
    start, end = (compiler.process(one, **options) for one in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM ({end} - {start})) AS DOUBLE PRECISION)"
