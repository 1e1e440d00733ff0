"""How pages show moments and lengths of time. All moments are UTC, on the server's clock."""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_WHOLE_SECONDS = 10


def clock(at: datetime, *, seconds: bool = False) -> str:
    """Return the time of day, such as `9:12` or `14:20:31`."""
    at = at.astimezone(UTC)
    tail = f":{at:%S}" if seconds else ""
    return f"{at.hour}:{at:%M}{tail}"


def day(at: datetime, now: datetime) -> str:
    """Return a date as people write it; the year only if it is another one."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    year = "" if at.year == now.year else f" {at.year}"
    return f"{at.day} {at:%b}{year}"


def moment(at: datetime, now: datetime, *, seconds: bool = False) -> str:
    """Return a moment: the time of day, with the date if that is another day."""
    is_today = at.astimezone(UTC).date() == now.astimezone(UTC).date()
    text = clock(at, seconds=seconds)
    return text if is_today else f"{day(at, now)}, {text}"


def time_element(
    at: datetime,
    now: datetime,
    *,
    relative: bool = False,
    seconds: bool = False,
    zone: bool = False,
    classes: str = "",
) -> Markup:
    """Return a `<time>` whose text is absolute; with `relative` the script makes it relative."""
    text = moment(at, now, seconds=seconds) + (" UTC" if zone else "")
    rel = Markup(" data-rel") if relative else ""
    css = Markup(' class="{}"').format(classes) if classes else ""
    return Markup('<time{} datetime="{}"{}>{}</time>').format(css, _stamp(at), rel, text)


def due_element(at: datetime, now: datetime) -> Markup:
    """Return a `<time>` that says how long it is until a moment, without the script too."""
    return Markup('<time datetime="{}" data-rel>{}</time>').format(_stamp(at), until(at, now))


def length(span: timedelta) -> str:
    """Return a length of time, rounded down, in its two largest units."""
    total = max(span.total_seconds(), 0.0)
    if total < _WHOLE_SECONDS:
        return f"{int(total * 10) / 10:g} s"
    rest = int(total)
    parts: list[str] = []
    for size, unit in (*_UNITS, (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def until(at: datetime, now: datetime) -> str:
    """Return how long it is until a moment, rounded down: a deadline is never shown later."""
    seconds = int((at - now).total_seconds())
    if seconds <= 0:
        return "now"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"in {seconds // size} {unit}"
    return f"in {seconds} s"


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
