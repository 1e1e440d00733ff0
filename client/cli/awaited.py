"""Says for which worker a run waits."""

from kern.client.cli.printing import one_line, show_time
from kern.contracts.reports import AwaitedWorker


def awaited_text(awaited: AwaitedWorker, run_id: str | None = None) -> str:
    """Return what a run waits for; it is named unless it is the one with this id."""
    subject = "" if awaited.run_id == run_id else f"run {awaited.run_id} "
    missing = one_line(awaited.missing)
    if awaited.is_parked:
        return (
            f"{subject}no worker has `{missing}`: after the decision the run waits until one "
            "starts, with an app that declares it"
        )
    return f"{subject}waits for a worker that has `{missing}` since {show_time(awaited.since)}"
