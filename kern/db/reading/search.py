"""Search in listings: a text anywhere in some columns, among the latest rows.

No index finds a text inside another, so a search looks at so many rows at most, whatever there is.
"""

from sqlalchemy import ColumnElement, Select, Table, or_, select

MOST_SEARCHED = 10_000


def matching(
    table: Table,
    text: str,
    columns: tuple[str, ...],
    latest_by: str,
    conditions: list[ColumnElement[bool]],
) -> list[ColumnElement[bool]]:
    """Return the conditions of the rows among the latest that hold a text.

    Args:
        table: The table.
        text: What is searched for; capital and small letters of ASCII are the same.
        columns: Where it is searched.
        latest_by: The column of the time by which the latest rows are found.
        conditions: What the rows have to fulfil anyway.
    """
    latest: Select[tuple[object]] = (
        select(table.c.id)
        .where(*conditions)
        .order_by(table.c[latest_by].desc(), table.c.id.desc())
        .limit(MOST_SEARCHED)
    )
    holds = or_(*(table.c[name].icontains(text, autoescape=True) for name in columns))
    return [table.c.id.in_(select(latest.subquery().c.id)), holds]
