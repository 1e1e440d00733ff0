"""Prints what should be progressing and is not, and the workers."""

from kern.client.cli.access import perform
from kern.client.cli.printing import count, say, say_json, say_table, show_age, show_id
from kern.contracts.stuck import StuckItem, StuckReason, StuckReport, WorkerStatus
from kern.contracts.viewer import present_operator
from kern.values.visible_text import plain

_REASONS = {
    StuckReason.no_worker: "no worker",
    StuckReason.not_started: "decided, not started",
    StuckReason.not_executed: "decided, not executed",
    StuckReason.not_delivered: "not delivered",
    StuckReason.unknown_outcome: "unknown outcome",
    StuckReason.deadline_passed: "deadline passed",
    StuckReason.provider_away: "waits: provider away",
    StuckReason.queued: "waits: queued",
}


def print_stuck(*, as_json: bool) -> None:
    """Print what is stuck; with nothing stuck, what was checked."""
    report = perform(lambda service: service.stuck.read(present_operator()))
    if as_json:
        say_json({**report.model_dump(mode="json"), "stuck": report.count})
        return
    _say_summary(report)
    if report.items:
        say_table(
            ("REASON", "SINCE", "RUN", "REQUIREMENT", "WHY"),
            [_row(item) for item in report.items],
        )
    if not report.is_complete:
        say("There is more: the oldest of each reason are listed.")
    if report.workers:
        say("")
        say_table(
            ("WORKER", "KERN", "SEEN", "COMPONENTS"), [_worker(item) for item in report.workers]
        )


def _say_summary(report: StuckReport) -> None:
    present = sum(worker.is_present for worker in report.workers)
    checked = f"{count(report.checked, 'open run')} and {count(present, 'running worker')}"
    things = count(report.count, "thing") if report.count else "Nothing"
    verb = "are" if report.count > 1 else "is"
    say(f"{things} {verb} stuck. Checked {checked} at {report.checked_at:%H:%M:%S} UTC.")


def _row(item: StuckItem) -> tuple[str, ...]:
    more = f" ({item.count:,} runs)" if item.count > 1 else ""
    return (
        _REASONS[item.reason],
        show_age(item.since),
        "-" if item.run_id is None else show_id(item.run_id),
        "-" if item.requirement_id is None else show_id(item.requirement_id),
        f"{plain(item.why)}{more}",
    )


def _worker(item: WorkerStatus) -> tuple[str, ...]:
    age = f"{show_age(item.seen_at)} ago"
    state = age if item.is_present else f"{age}, lost"
    return item.name, item.version, state, ", ".join(plain(name, ",") for name in item.components)
