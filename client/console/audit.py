"""The decision log: who decided what, and whether the log is intact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from kern.client.console.addresses import requirement_url
from kern.client.console.inbox import Select
from kern.client.console.problems import Problem
from kern.client.console.states import Style, verdict_word
from kern.contracts.reports import AuditReport, Decision
from kern.values.principals import KERN, LOCAL, Principal
from kern.values.states import PrincipalKind, Verdict

_STYLES: dict[Verdict, Style] = {
    Verdict.approve: "good",
    Verdict.answer: "good",
    Verdict.choose: "good",
    Verdict.result: "good",
    Verdict.happened: "good",
    Verdict.run_again: "wait",
    Verdict.skip: "wait",
    Verdict.withdraw: "wait",
    Verdict.unknown: "bad",
    Verdict.reject: "bad",
    Verdict.fail: "bad",
}
_HASH_LENGTH = 10


@dataclass(frozen=True)
class LogEntry:
    """An entry of the log as the service hands it over.

    Attributes:
        number: Its number in the whole log; None where only the one in its run is known.
        about: What it is about, such as the title of the call.
        surface: Through what it was made, such as `desk`.
    """

    decision: Decision
    about: str = ""
    number: int | None = None
    surface: str = ""


@dataclass(frozen=True)
class LogRow:
    """An entry of the log on the page."""

    number: str
    name: str
    authority: str
    verdict: str
    style: Style
    about: str
    url: str
    note: str | None
    at: datetime
    hash: str


@dataclass(frozen=True)
class Verification:
    """The last verification of the log.

    Attributes:
        report: What it found; None if the log does not verify.
        failure: The first entry that does not verify.
        at: When it was made.
        seconds: How long it took.
    """

    report: AuditReport | None
    at: datetime
    failure: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class AuditView:
    """What the page of the log shows."""

    rows: list[LogRow]
    count: int | None
    verification: Verification | None
    selects: list[Select]
    query: str
    since: date | None
    until: date | None
    older_url: str | None
    head: str
    problem: Problem | None


def audit_view(
    entries: Sequence[LogEntry],
    verification: Verification | None = None,
    *,
    count: int | None = None,
    selects: Sequence[Select] = (),
    filters: Mapping[str, str] | None = None,
    older_url: str | None = None,
    problem: Problem | None = None,
) -> AuditView:
    """Return what the page of the log shows.

    Args:
        entries: The entries, the latest first.
        verification: The last verification.
        count: How many entries the log has.
        selects: Lists of verdicts and tools to filter by.
        filters: What was searched for: `q`, `from`, `to`; and the saved hash, `head`.
        older_url: Where earlier entries are.
        problem: Why something was refused.
    """
    selected = filters or {}
    return AuditView(
        rows=[_row(entry) for entry in entries],
        count=count,
        verification=verification,
        selects=list(selects),
        query=selected.get("q", ""),
        since=_date(selected.get("from")),
        until=_date(selected.get("to")),
        older_url=older_url,
        head=selected.get("head", ""),
        problem=problem,
    )


def _row(entry: LogEntry) -> LogRow:
    decision = entry.decision
    by_kern = decision.principal.issuer == KERN
    number = f"{entry.number:,}" if entry.number is not None else f"{decision.seq} of its run"
    verdict = verdict_word(decision.verdict).lower()
    return LogRow(
        number=number,
        name="nobody" if by_kern else decision.by,
        authority=_authority(decision.principal, entry.surface),
        verdict=f"{verdict} by deadline" if by_kern else _edited(decision, verdict),
        style="" if by_kern else _STYLES[decision.verdict],
        about=entry.about or decision.requirement_id,
        url=requirement_url(decision.requirement_id),
        note=decision.note,
        at=decision.at,
        hash=decision.hash[:_HASH_LENGTH],
    )


def _edited(decision: Decision, verdict: str) -> str:
    return f"edited, {verdict}" if decision.edit else verdict


def _authority(principal: Principal, surface: str) -> str:
    """Say who vouches for a person."""
    if principal.issuer == KERN:
        return "a deadline, or a late result"
    issuer = "a local claim" if principal.issuer == LOCAL else principal.issuer
    kind = "" if principal.kind is PrincipalKind.person else principal.kind.value
    return ", ".join(part for part in (kind, issuer, surface) if part)


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
