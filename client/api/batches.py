"""The route of batches: one verdict about look-alikes, each with a decision of its own."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from kern.client.api.documented import PROBLEMS
from kern.client.api.parameters import Key
from kern.client.api.refusals import require_person
from kern.client.api.resources import DecisionResource
from kern.client.service.batches import MOST_ITEMS
from kern.client.web.callers import Operator, RateOf, ServiceOf
from kern.client.web.problems import FieldProblem, ProblemError
from kern.contracts.batches import Batch, BatchAnswer, BatchItem
from kern.values.decisions import LONGEST_NOTE

router = APIRouter(prefix="/batches", tags=["requirements"], responses=PROBLEMS)


class BatchItemBody(BaseModel):
    """One of the requirements, and the digest of what was shown; an approval needs it."""

    model_config = ConfigDict(extra="forbid")

    requirement_id: Annotated[StrictStr, Field(min_length=1, max_length=240)]
    digest: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


class BatchBody(BaseModel):
    """One verdict about several requirements of one shape."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["approve", "reject"]
    note: Annotated[StrictStr, Field(max_length=LONGEST_NOTE)] | None = None
    items: Annotated[list[BatchItemBody], Field(min_length=1, max_length=MOST_ITEMS)]


class BatchResult(BaseModel):
    """What became of one of them: its decision, or a code and a sentence why it has none."""

    requirement: str
    decision: DecisionResource | None
    code: str | None
    detail: str | None

    @classmethod
    def of(cls, item: BatchAnswer) -> Self:
        """Return an answer as the API shows it."""
        return cls(
            requirement=item.requirement_id,
            decision=None if item.decision is None else DecisionResource.of(item.decision),
            code=item.code,
            detail=item.detail,
        )


class BatchResults(BaseModel):
    """What became of each, in the order in which they were sent."""

    items: list[BatchResult]


@router.post("")
async def decide_batch(
    *,
    service: ServiceOf,
    caller: Operator,
    rate: RateOf,
    body: BatchBody,
    response: Response,
    key: Key = None,
) -> BatchResults:
    """Decide look-alikes together; each is its own decision, or left as it is with a reason."""
    require_person(caller)
    _check(body)
    batch = Batch(
        verdict=body.verdict,
        items=tuple(BatchItem.model_validate(item.model_dump()) for item in body.items),
        note=body.note,
    )
    if key is not None and await service.batches.is_kept(caller.viewer, batch, key):
        response.headers["Idempotent-Replay"] = "true"
    else:
        rate.count(caller.principal, len(body.items))
    answers = await service.batches.decide(caller.viewer, batch, key=key)
    return BatchResults(items=[BatchResult.of(item) for item in answers])


def _check(body: BatchBody) -> None:
    missing: list[FieldProblem] = []
    if body.verdict == "reject" and not body.note:
        missing.append(FieldProblem(field="note", message="needed: why they are rejected"))
    missing += [
        FieldProblem(
            field=f"items.{position}.digest",
            message="needed: the digest of what was shown, 8 characters or more of it",
        )
        for position, item in enumerate(body.items)
        if body.verdict == "approve" and item.digest is None
    ]
    if missing:
        names = ", ".join(item.field for item in missing)
        detail = f"The batch lacks {names}. Nothing was changed."
        raise ProblemError(422, "invalid_decision", detail, errors=missing)
