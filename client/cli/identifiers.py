"""Finds what an id on the command line means: a run's and a requirement's serve alike."""

from kern.client.service.operations import OperatorService
from kern.contracts.viewer import present_operator
from kern.errors import AlreadyResolved, InvalidInput, NotFound
from kern.requirements import Requirement, closed_message
from kern.values.states import RequirementStatus

# So many decisions are named where a run waits for several.
_MOST_NAMED = 20


async def find_run(service: OperatorService, identifier: str) -> str:
    """Return the id of the run that an id, or the end of one, means.

    Raises:
        NotFound: it is neither a run's id nor that of a requirement.
        InvalidInput: several ids end so.
    """
    viewer = present_operator()
    try:
        return await service.runs.full_id(viewer, identifier)
    except NotFound as error:
        try:
            return (await service.inbox.read(viewer, identifier)).run_id
        except NotFound:
            raise error from None


async def run_named(service: OperatorService, identifier: str) -> str:
    """Return the id of the run that an id means, as `find_run`; the id itself if there is none."""
    try:
        return await find_run(service, identifier)
    except NotFound:
        return identifier


async def find_requirement(service: OperatorService, identifier: str) -> Requirement:
    """Return the requirement that an id, or the end of one, means.

    A run's id means the only decision that the run waits for, or else the last that it waited for.

    Raises:
        NotFound: it is neither, or the run has waited for nobody.
        InvalidInput: several ids end so, or the run waits for several decisions.
    """
    viewer = present_operator()
    try:
        return await service.inbox.read(viewer, identifier)
    except NotFound as error:
        try:
            run_id = await service.runs.full_id(viewer, identifier)
        except NotFound:
            raise error from None
    page = await service.inbox.pending(viewer, limit=_MOST_NAMED, run_id=run_id)
    if len(page.requirements) > 1:
        ids = ", ".join(repr(item.id) for item in page.requirements)
        more = " and more" if page.next_cursor else ""
        message = (
            f"Run {run_id!r} waits for several decisions, {ids}{more}: name one. Nothing was "
            "changed."
        )
        raise InvalidInput(message)
    last = page.requirements or (await service.runs.read(viewer, run_id)).requirements
    if not last:
        message = f"Run {run_id!r} has waited for no decision. Nothing was changed."
        raise NotFound(message)
    return last[-1]


async def find_open_requirement(service: OperatorService, identifier: str) -> Requirement:
    """Return the pending requirement that an id means, as `find_requirement`.

    Raises:
        AlreadyResolved: somebody decided first; the message says who.
    """
    item = await find_requirement(service, identifier)
    if item.status is not RequirementStatus.pending:
        raise AlreadyResolved(closed_message(item))
    return item
