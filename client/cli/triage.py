"""Claims, hands on, puts off and comments on what waits, and prints what that changes."""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from kern.client.cli.access import decider, perform
from kern.client.cli.each import Report, report_each
from kern.client.cli.identifiers import find_requirement
from kern.client.cli.printing import one_line, show_time
from kern.client.service.operations import OperatorService
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.process.clock import utc_now
from kern.requirements import Requirement

_LENGTH = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def claim_requirements(ids: Sequence[str], *, minutes: int, by: str | None, as_json: bool) -> int:
    """Take care of requirements for some minutes; return the exit code of the first refusal."""
    name = decider(by)

    async def claim(service: OperatorService, requirement_id: str) -> Report:
        viewer = present_operator()
        item = await service.triage.claim(viewer, requirement_id, name, minutes=minutes)
        if item.claim is None:
            return _report(item)
        until = show_time(item.claim.until)
        return _report(
            item,
            f"Claimed by {one_line(item.claim.by)} until {until}: requirement {item.id}.",
            "Whoever may decide it still may.",
        )

    return _act_on_each(ids, claim, as_json=as_json)


def release_requirements(ids: Sequence[str], *, by: str | None, as_json: bool) -> int:
    """End one's own claims; as `claim_requirements`."""
    name = decider(by)

    async def release(service: OperatorService, requirement_id: str) -> Report:
        item = await service.triage.release(present_operator(), requirement_id, name)
        return _report(item, f"Nobody has claimed requirement {item.id}.")

    return _act_on_each(ids, release, as_json=as_json)


def delegate_requirements(
    ids: Sequence[str], *, to: str, note: str | None, by: str | None, as_json: bool
) -> int:
    """Hand decisions to somebody else; as `claim_requirements`."""
    name = decider(by)

    async def delegate(service: OperatorService, requirement_id: str) -> Report:
        viewer = present_operator()
        item = await service.triage.delegate(viewer, requirement_id, to, name, note=note)
        return _report(
            item,
            f"Handed to {one_line(to)} by {one_line(name)}: requirement {item.id}.",
            "They may decide it from now on. With them you have one voice.",
        )

    return _act_on_each(ids, delegate, as_json=as_json)


def snooze_requirements(
    ids: Sequence[str], *, until: str | None, off: bool, by: str | None, as_json: bool
) -> int:
    """Put requirements off for a person, or have them back; as `claim_requirements`.

    Raises:
        InvalidInput: neither or both were asked for, or the time makes no sense.
    """
    if off == (until is not None):
        message = "Say --until when it is put off, such as 2h, or --off to have it back."
        raise InvalidInput(message)
    name = decider(by)
    moment = None if until is None else moment_of(until, utc_now())

    async def snooze(service: OperatorService, requirement_id: str) -> Report:
        viewer = present_operator()
        if moment is None:
            item = await service.triage.wake(viewer, requirement_id, name)
            return _report(item, f"Requirement {item.id} is not put off for {one_line(name)}.")
        snooze = await service.triage.snooze(viewer, requirement_id, moment, name)
        back = show_time(snooze.until)
        line = f"Put off for {one_line(name)} until {back}: requirement {snooze.requirement_id}."
        return Report(snooze.model_dump(mode="json"), (line,))

    return _act_on_each(ids, snooze, as_json=as_json)


def comment_on(identifier: str, text: str, *, by: str | None, as_json: bool) -> int:
    """Write something about a requirement."""
    name = decider(by)

    async def comment(service: OperatorService, requirement_id: str) -> Report:
        comment = await service.triage.comment(present_operator(), requirement_id, text, name)
        line = f"Kept as a comment by {one_line(name)} on requirement {comment.requirement_id}."
        return Report(comment.model_dump(mode="json"), (line,))

    return _act_on_each([identifier], comment, as_json=as_json)


def _act_on_each(
    ids: Sequence[str],
    act: Callable[[OperatorService, str], Awaitable[Report]],
    *,
    as_json: bool,
) -> int:
    async def find_and_act(service: OperatorService, identifier: str) -> Report:
        return await act(service, (await find_requirement(service, identifier)).id)

    return report_each(
        ids,
        lambda identifier: perform(lambda service: find_and_act(service, identifier)),
        as_json=as_json,
        refusal="Not done",
    )


def _report(item: Requirement, *lines: str) -> Report:
    return Report({"requirement": item.model_dump(mode="json")}, lines)


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
