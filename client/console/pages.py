"""Renders the pages of the console, whole or as the fragment that htmx puts in place."""

from kern.client.console.environment import render
from kern.client.console.frame import Frame
from kern.client.console.inbox import InboxView, Row
from kern.client.console.requirement import RequirementView


def inbox_page(frame: Frame, view: InboxView) -> str:
    """Return the inbox."""
    return render("inbox.html", frame=frame, view=view)


def row_fragment(frame: Frame, row: Row) -> str:
    """Return one row of the inbox, as after a decision from it."""
    return render("_row.html", frame=frame, row=row)


def requirement_page(frame: Frame, view: RequirementView) -> str:
    """Return the page of one decision."""
    return render("requirement.html", frame=frame, view=view)


def state_fragment(frame: Frame, view: RequirementView) -> str:
    """Return the state line of a decision."""
    return render("_state.html", frame=frame, view=view)
