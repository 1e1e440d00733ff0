"""Refusals that several routes have in common, with what a program needs to go on."""

from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from pydantic import JsonValue

from kern.client.service.inbox import Inbox
from kern.client.web.problems import FieldProblem, ProblemError
from kern.contracts.caller import Caller
from kern.contracts.viewer import Viewer
from kern.errors import AlreadyResolved, Claimed
from kern.values.states import PrincipalKind, RequirementStatus

Result = TypeVar("Result")
# Of these, every value counts.
_LISTS = frozenset({"kinds", "expand"})


def refuse_repetitions(request: Request) -> None:
    """Refuse a parameter that stands several times where one value counts.

    Raises:
        ProblemError: there is one (422).
    """
    names = [name for name, _ in request.query_params.multi_items() if name not in _LISTS]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not repeated:
        return
    errors = [FieldProblem(field=f"query.{name}", message="several values") for name in repeated]
    detail = f"{', '.join(repeated)}: give one value, and ask again for another."
    raise ProblemError(422, "invalid_input", detail, errors=errors)


def require_person(caller: Caller) -> None:
    """Refuse services and agents.

    Raises:
        ProblemError: the caller is no person (403).
    """
    if caller.principal.kind is PrincipalKind.person:
        return
    detail = (
        f"{caller.principal.name} is no person, and this asks for one. Nothing was changed. "
        "Have a person do it, with a token of their own or in the console."
    )
    raise ProblemError(403, "person_required", detail)


async def closed_problem(
    inbox: Inbox, viewer: Viewer, requirement_id: str, error: AlreadyResolved
) -> ProblemError:
    """Return who decided first, or what closed the requirement."""
    requirement = await inbox.read(viewer, requirement_id)
    resolution = requirement.resolution
    extra: dict[str, JsonValue] = {}
    if resolution is not None:
        extra["resolution"] = resolution.model_dump(mode="json", include={"verdict", "by", "at"})
    match requirement.status:
        case RequirementStatus.expired:
            return ProblemError(410, "expired", str(error), extra=extra)
        case RequirementStatus.cancelled:
            return ProblemError(410, "cancelled", str(error), extra=extra)
        case _:
            return ProblemError(409, error.code, str(error), extra=extra)


async def explained(
    work: Awaitable[Result], inbox: Inbox, caller: Caller, requirement_id: str
) -> Result:
    """Wait for something about a requirement; a refusal says who was first, or who has it.

    Raises:
        ProblemError: it is closed, or somebody else takes care of it.
    """
    try:
        return await work
    except AlreadyResolved as error:
        raise await closed_problem(inbox, caller.viewer, requirement_id, error) from error
    except Claimed as error:
        requirement = await inbox.read(caller.viewer, requirement_id)
        claim = requirement.claim
        extra: dict[str, JsonValue] = {}
        if claim is not None:
            extra["claim"] = claim.model_dump(mode="json")
        raise ProblemError(409, error.code, str(error), extra=extra) from error
