"""Marks in a transaction: what others are notified of once it is committed."""

from collections.abc import Collection, Mapping, Sequence

from sqlmodel import Session

_NEWS, _STOPPED, _DUE, _WARNINGS = "kern.news", "kern.stopped", "kern.due", "kern.warnings"
_FED = "kern.fed"


def mark_news(tx: Session, run_id: str, seq: int) -> None:
    """Note that a run which somebody may read has events up to this number."""
    tx.info.setdefault(_NEWS, {})[run_id] = seq


def mark_stopped(tx: Session, run_id: str) -> None:
    """Note that a run pauses, ends, or is gone by this transaction."""
    tx.info.setdefault(_STOPPED, set()).add(run_id)


def mark_due(tx: Session) -> None:
    """Note that this transaction leaves a delivery to the relay alone."""
    tx.info[_DUE] = True


def mark_fed(tx: Session) -> None:
    """Note that this transaction adds to the feed: its rows have to be numbered."""
    tx.info[_FED] = True


def mark_warning(tx: Session, event: str, **facts: str) -> None:
    """Note what is logged as a warning once this transaction is committed: ids, and no texts."""
    tx.info.setdefault(_WARNINGS, []).append((event, facts))


def news_of(tx: Session) -> Mapping[str, int]:
    """Return the runs that somebody may read, each with the number of its last event."""
    news: dict[str, int] = tx.info.get(_NEWS, {})
    return news


def stopped_in(tx: Session) -> Collection[str]:
    """Return the runs that pause, end, or are gone by this transaction."""
    stopped: set[str] = tx.info.get(_STOPPED, set())
    return stopped


def is_due(tx: Session) -> bool:
    """Whether this transaction leaves a delivery to the relay alone."""
    return bool(tx.info.get(_DUE))


def is_fed(tx: Session) -> bool:
    """Whether this transaction adds to the feed."""
    return bool(tx.info.get(_FED))


def warnings_of(tx: Session) -> Sequence[tuple[str, Mapping[str, str]]]:
    """Return what is to be logged as warnings, each with its facts."""
    warnings: list[tuple[str, Mapping[str, str]]] = tx.info.get(_WARNINGS, [])
    return warnings
