"""The route that starts runs, of components that running workers have."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.pages import Id
from kern.client.api.parameters import Key
from kern.client.api.run_resources import AcceptedChange
from kern.client.web.callers import Operator, ServiceOf
from kern.client.web.problems import ProblemError
from kern.contracts.caller import Caller
from kern.contracts.requests import RunRequest
from kern.errors import Conflict, NotFound, SessionBusy
from kern.values.states import OnBusy

router = APIRouter(prefix="/runs", tags=["runs"], responses=PROBLEMS)
# Run ids are derived from keys in a space of their own.
_KEYS = uuid.UUID("5b0c7c1e-4f0a-5a0e-8d59-2f4b1d7a9c30")


class StartBody(BaseModel):
    """A run that is asked for.

    Attributes:
        component: The id of an agent, a team or a workflow that a running worker has.
        user: Whose run it is; their session is continued or begun.
        on_busy: What to do while another run of the session has not ended.
    """

    model_config = ConfigDict(extra="forbid")

    component: Id
    input: Annotated[StrictStr, Field(max_length=1_000_000)]
    session: Id | None = None
    user: Id | None = None
    on_busy: OnBusy = OnBusy.queue
    metadata: dict[str, JsonValue] = {}


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def start_run(
    service: ServiceOf, caller: Operator, body: StartBody, response: Response, key: Key = None
) -> AcceptedChange:
    """Start a run of a component that a running worker has, and wait for nothing."""
    run_id = None if key is None else _id_of(caller, key)
    is_replay = run_id is not None and await _exists(service, caller, run_id)
    request = RunRequest(
        component_id=body.component,
        input=body.input,
        session_id=body.session,
        user_id=body.user,
        on_busy=body.on_busy,
        metadata=body.metadata,
        run_id=run_id,
    )
    try:
        accepted = await service.runs.start(caller.viewer, request)
    except SessionBusy:
        raise
    except Conflict as error:
        if not is_replay:
            raise
        detail = (
            "Idempotency-Key belongs to another run, which stands. Use a new key for a new run."
        )
        raise ProblemError(422, "idempotency_key_reused", detail) from error
    if is_replay:
        response.headers["Idempotent-Replay"] = "true"
    response.headers["Location"] = f"/v1/runs/{accepted.run_id}"
    return AcceptedChange.of(accepted)


async def _exists(service: ServiceOf, caller: Caller, run_id: str) -> bool:
    try:
        await service.runs.status(caller.viewer, run_id)
    except NotFound:
        return False
    return True


def _id_of(caller: Caller, key: str) -> str:
    """Return the id of the run under a key: the same key of the same caller, the same run."""
    principal = caller.principal
    # None of them has a line break.
    return str(
        uuid.uuid5(_KEYS, f"{principal.tenant}\n{principal.issuer}\n{principal.subject}\n{key}")
    )
