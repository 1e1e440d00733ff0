"""Claims, hands on, puts off and comments on what waits, and prints what that changes."""

import re
from datetime import UTC, datetime, timedelta

from kern.client.cli.access import decider, perform
from kern.client.cli.printing import one_line, say, say_json, show_time
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.process.clock import utc_now
from kern.requirements import Requirement

_LENGTH = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def claim_requirement(requirement_id: str, *, minutes: int, by: str | None, as_json: bool) -> None:
    """Take care of a requirement for some minutes."""
    viewer, name = present_operator(), decider(by)
    item = perform(
        lambda service: service.triage.claim(viewer, requirement_id, name, minutes=minutes)
    )
    if as_json:
        _say_requirement(item)
    elif item.claim is not None:
        until = show_time(item.claim.until)
        say(f"Claimed by {one_line(item.claim.by)} until {until}: requirement {item.id}.")
        say("Whoever may decide it still may.")


def release_requirement(requirement_id: str, *, by: str | None, as_json: bool) -> None:
    """End one's own claim."""
    viewer, name = present_operator(), decider(by)
    item = perform(lambda service: service.triage.release(viewer, requirement_id, name))
    if as_json:
        _say_requirement(item)
    else:
        say(f"Nobody has claimed requirement {item.id}.")


def delegate_requirement(
    requirement_id: str, *, to: str, note: str | None, by: str | None, as_json: bool
) -> None:
    """Hand a decision to somebody else."""
    viewer, name = present_operator(), decider(by)
    item = perform(
        lambda service: service.triage.delegate(viewer, requirement_id, to, name, note=note)
    )
    if as_json:
        _say_requirement(item)
    else:
        say(f"Handed to {one_line(to)} by {one_line(name)}: requirement {item.id}.")
        say("They may decide it from now on. With them you have one voice.")


def snooze_requirement(
    requirement_id: str, *, until: str | None, off: bool, by: str | None, as_json: bool
) -> None:
    """Put a requirement off for a person, or have it back.

    Raises:
        InvalidInput: neither or both were asked for, or the time makes no sense.
    """
    if off == (until is not None):
        message = "Say --until when it is put off, such as 2h, or --off to have it back."
        raise InvalidInput(message)
    viewer, name = present_operator(), decider(by)
    if until is None:
        item = perform(lambda service: service.triage.wake(viewer, requirement_id, name))
        if as_json:
            _say_requirement(item)
        else:
            say(f"Requirement {item.id} is not put off for {one_line(name)}.")
        return
    moment = moment_of(until, utc_now())
    snooze = perform(lambda service: service.triage.snooze(viewer, requirement_id, moment, name))
    if as_json:
        say_json(snooze.model_dump(mode="json"))
    else:
        back = show_time(snooze.until)
        say(f"Put off for {one_line(name)} until {back}: requirement {snooze.requirement_id}.")


def comment_on(requirement_id: str, text: str, *, by: str | None, as_json: bool) -> None:
    """Write something about a requirement."""
    viewer, name = present_operator(), decider(by)
    comment = perform(lambda service: service.triage.comment(viewer, requirement_id, text, name))
    if as_json:
        say_json(comment.model_dump(mode="json"))
    else:
        say(f"Kept as a comment by {one_line(name)} on requirement {comment.requirement_id}.")


def _say_requirement(item: Requirement) -> None:
    say_json({"requirement": item.model_dump(mode="json")})


def moment_of(text: str, now: datetime, name: str = "--until") -> datetime:
    """Return the time that somebody typed: a length from now, or a time with its zone.

    Raises:
        InvalidInput: it is neither; `name` is what the message calls it.
    """
    length = _LENGTH.fullmatch(text.strip())
    if length is not None:
        return now + int(length[1]) * _UNITS[length[2]]
    moment = zoned_time(text)
    if moment is None:
        message = (
            f"{name} is {text!r}: give a length such as 30m, 2h or 3d, or a time with its zone "
            "such as 2026-12-01T09:00+01:00."
        )
        raise InvalidInput(message)
    return moment


def zoned_time(text: str) -> datetime | None:
    """Return a time that somebody typed with its zone, in UTC; None if it is anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC)
