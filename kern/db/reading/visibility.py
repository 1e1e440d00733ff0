"""What of a table a viewer reaches, as the conditions of listings; errors for what is not there."""

from sqlalchemy import ColumnElement, Table

from kern.contracts.viewer import Viewer
from kern.errors import NotFound


def visible(viewer: Viewer, table: Table) -> list[ColumnElement[bool]]:
    """Return the conditions of the rows that a viewer reaches.

    They say of rows what `Viewer.check` says of one row: it is the same rule, for listings.
    """
    conditions: list[ColumnElement[bool]] = []
    if viewer.tenant is not None:
        conditions.append(table.c.tenant == viewer.tenant)
    if not viewer.is_operator and viewer.user_id is None:
        conditions.append(table.c.user_id.is_(None))
    elif not viewer.is_operator:
        # An index serves `=`, and not `IS NOT DISTINCT FROM`.
        conditions.append(table.c.user_id == viewer.user_id)
    if viewer.component_id is not None and "component_id" in table.c:
        conditions.append(table.c.component_id == viewer.component_id)
    return conditions


def visible_tenant(viewer: Viewer, table: Table) -> list[ColumnElement[bool]]:
    """Return the conditions of the rows of a tenant that belong to no user of it."""
    return [] if viewer.tenant is None else [table.c.tenant == viewer.tenant]


def no_run(run_id: str) -> NotFound:
    """Return the error for an id that names no run."""
    return NotFound(f"There is no run with the id {run_id!r}. `kern runs` lists those there are.")


def no_requirement(requirement_id: str) -> NotFound:
    """Return the error for an id that names no requirement."""
    return NotFound(
        f"There is no requirement with the id {requirement_id!r}. `kern pending` lists those that "
        "wait."
    )
