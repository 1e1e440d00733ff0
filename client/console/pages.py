"""Renders the pages of the console, whole or as the fragment that htmx puts in place."""

from kern.client.console.audit import AuditView
from kern.client.console.batch import BatchView
from kern.client.console.deliveries import DeliveriesView
from kern.client.console.edit import EditView
from kern.client.console.entry import SignInView
from kern.client.console.environment import render
from kern.client.console.frame import Frame
from kern.client.console.inbox import InboxView, Row
from kern.client.console.problems import Problem
from kern.client.console.requirement import RequirementView
from kern.client.console.run import RunView
from kern.client.console.runs import RunsView
from kern.client.console.sessions import SessionsView
from kern.client.console.stuck import StuckView


def inbox_page(frame: Frame, view: InboxView) -> str:
    """Return the inbox."""
    return render("inbox.html", frame=frame, view=view)


def row_fragment(frame: Frame, row: Row) -> str:
    """Return one row of the inbox, as after a decision from it."""
    return render("_row.html", frame=frame, row=row)


def batch_page(frame: Frame, view: BatchView) -> str:
    """Return the result of deciding look-alikes together."""
    return render("batch.html", frame=frame, view=view)


def requirement_page(frame: Frame, view: RequirementView) -> str:
    """Return the page of one decision."""
    return render("requirement.html", frame=frame, view=view)


def state_fragment(frame: Frame, view: RequirementView, *, is_line: bool) -> str:
    """Return where a decision stands: all that a closed one says of it, or the line alone."""
    is_whole = view.ending != "open" and not is_line
    template = "_closed_state.html" if is_whole else "_state.html"
    return render(template, frame=frame, view=view)


def edit_page(frame: Frame, view: EditView) -> str:
    """Return the page on which the arguments of a call are edited."""
    return render("edit.html", frame=frame, view=view)


def runs_page(frame: Frame, view: RunsView) -> str:
    """Return the list of runs."""
    return render("runs.html", frame=frame, view=view)


def run_page(frame: Frame, view: RunView) -> str:
    """Return the page of one run."""
    return render("run.html", frame=frame, view=view)


def sessions_page(frame: Frame, view: SessionsView) -> str:
    """Return the list of sessions, with one of them beside it."""
    return render("sessions.html", frame=frame, view=view)


def stuck_page(frame: Frame, view: StuckView) -> str:
    """Return the page of what should be progressing and is not."""
    return render("stuck.html", frame=frame, view=view)


def deliveries_page(frame: Frame, view: DeliveriesView) -> str:
    """Return the page of webhooks and channels."""
    return render("deliveries.html", frame=frame, view=view)


def audit_page(frame: Frame, view: AuditView) -> str:
    """Return the page of the decision log."""
    return render("audit.html", frame=frame, view=view)


def sign_in_page(frame: Frame, view: SignInView) -> str:
    """Return the page of the sign-in."""
    return render("signin.html", frame=frame, view=view)


def error_page(frame: Frame, problem: Problem) -> str:
    """Return a page that says what went wrong."""
    return render("error.html", frame=frame, problem=problem)


def problem_fragment(frame: Frame, problem: Problem) -> str:
    """Return a box that says what went wrong, for the place that htmx replaces."""
    return render("_error.html", frame=frame, problem=problem)
