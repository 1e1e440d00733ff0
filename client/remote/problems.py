"""Refusals of the API as the errors that the service raises on a database."""

from collections.abc import Iterator

import httpx2
from pydantic import BaseModel, ValidationError

from kern.errors import (
    AlreadyResolved,
    InvalidDecision,
    InvalidInput,
    KernError,
    NotAllowed,
    Unavailable,
)

_MEDIA_TYPE = "application/problem+json"


class _FieldProblem(BaseModel):
    field: str
    message: str


class _Problem(BaseModel):
    """What a client reads of a problem; later versions may say more."""

    code: str
    detail: str
    run_id: str | None = None
    errors: list[_FieldProblem] | None = None


def _classes(base: type[KernError]) -> Iterator[type[KernError]]:
    yield base
    for derived in base.__subclasses__():
        yield from _classes(derived)


# An error's code is its own; the API has some more, which say what an error of Kern's says.
_ERRORS: dict[str, type[KernError]] = {
    **{error.code: error for error in _classes(KernError)},
    "expired": AlreadyResolved,
    "cancelled": AlreadyResolved,
    "person_required": NotAllowed,
    "confirmation_mismatch": InvalidDecision,
    "idempotency_key_reused": InvalidInput,
    "malformed": InvalidInput,
    "too_large": InvalidInput,
    "too_many": Unavailable,
}


def error_of(response: httpx2.Response, url: str) -> KernError:
    """Return the error that a refusal is, with the sentence of whoever refused."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if media_type != _MEDIA_TYPE:
        return not_kern(response.status_code, url)
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        return not_kern(response.status_code, url)
    error_class = _ERRORS.get(problem.code, KernError)
    error = error_class(_sentence(problem))
    error.run_id = problem.run_id
    return error


def not_kern(status: int, url: str) -> Unavailable:
    """Return the error for an answer that is none of Kern's."""
    redirect = 300 <= status < 400  # noqa: PLR2004  the redirections
    reason = "sends elsewhere, where the token is not sent" if redirect else "is not Kern's API"
    return Unavailable(
        f"What answers at {url} (with status {status}) {reason}. Check KERN_API_URL, and the proxy "
        "in front of `kern serve`."
    )


def _sentence(problem: _Problem) -> str:
    """Return what a problem says, with what is wrong with each value."""
    values = "; ".join(f"{item.field}: {item.message}" for item in problem.errors or ())
    return f"{problem.detail} ({values})" if values else problem.detail
