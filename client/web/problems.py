"""Problems: every refusal over HTTP as RFC 9457 describes them, `application/problem+json`.

`code` is stable and meant for programs; `detail` is the sentence for people. `changed` says whether
anything was stored, and `retryable` whether the same request may succeed later by itself. No
problem repeats what was sent: it may be secret.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue
from starlette.exceptions import HTTPException

from kern.errors import KernError, Unauthenticated, Unavailable
from kern.process.logs import get_logger

_log = get_logger("kern.web")

MEDIA_TYPE = "application/problem+json"
# Where the codes are explained; a name, which need not be an address.
_TYPE = "urn:kern:problem:"
_RETRY_SECONDS = 5
_TITLES = {
    "already_resolved": "Somebody decided first",
    "already_decided_by_you": "You have decided so already",
    "call_started": "The call has started",
    "arguments_changed": "It is not what you were shown",
    "expired": "Its deadline has passed",
    "cancelled": "It was cancelled with its run",
    "person_required": "Only a person may decide",
    "unauthenticated": "Nobody knows who calls",
    "fresh_sign_in_required": "This decision needs a fresh sign-in",
    "not_allowed": "You may not do this",
    "not_found": "There is no such thing",
    "unknown_host": "This server has another name",
    "invalid_input": "A value is refused",
    "invalid_decision": "The decision does not fit",
    "malformed": "The request cannot be read",
    "confirmation_mismatch": "What was typed does not match",
    "too_many": "Too many decisions",
    "too_large": "The request is too large",
    "claimed": "Somebody else takes care of it",
    "mixed_shapes": "These do not look alike",
    "high_risk": "It is decided by itself",
    "idempotency_key_reused": "The key belongs to another request",
    "unavailable": "A part of Kern does not answer",
    "error": "An error in Kern itself",
}
_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
}


class FieldProblem(BaseModel):
    """A value that is refused: where it stands in the request, and why."""

    field: str
    message: str


class Problem(BaseModel):
    """Why a request was refused.

    Attributes:
        type: A name of the kind of problem, which ends with its code.
        status: The HTTP status.
        changed: Whether anything was stored.
        retryable: Whether the same request may succeed later although nobody changes it.
        errors: The values that are refused, all at once.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    changed: bool = False
    retryable: bool = False
    errors: list[FieldProblem] | None = None


class ProblemError(Exception):
    """A refusal with a code of its own, or with more to say than the error that it comes from.

    Attributes:
        extra: More members of the problem, such as who decided first.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        extra: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


def problem_of(error: KernError) -> ProblemError:
    """Return an error of Kern's as a problem."""
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(_RETRY_SECONDS)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    extra: dict[str, JsonValue] = {"retryable": True} if error.retryable else {}
    if error.run_id is not None:
        extra["run_id"] = error.run_id
    return ProblemError(error.http_status, error.code, str(error), extra=extra, headers=headers)


def answer(request: Request, problem: ProblemError) -> JSONResponse:
    """Return the answer with a problem."""
    body = Problem(
        type=_TYPE + problem.code,
        title=_TITLES.get(problem.code, HTTPStatus(problem.status).phrase),
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        instance=request.url.path,
        errors=problem.errors or None,
    )
    content = body.model_dump(mode="json", exclude_none=True) | problem.extra
    return JSONResponse(content, problem.status, problem.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have every error of an application answered as a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(KernError, _on_kern_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_error)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    return answer(request, cast("ProblemError", error))


async def _on_kern_error(request: Request, error: Exception) -> JSONResponse:
    return answer(request, problem_of(cast("KernError", error)))


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    errors = [
        FieldProblem(field=_place(item["loc"]), message=str(item["msg"]))
        for item in cast("RequestValidationError", error).errors()
    ]
    names = ", ".join(dict.fromkeys(item.field for item in errors))
    detail = f"The request is refused because of {names}. Nothing was changed."
    return answer(request, ProblemError(422, "invalid_input", detail, errors=errors))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    refused = cast("HTTPException", error)
    code = _CODES.get(HTTPStatus(refused.status_code), "refused")
    detail = f"{refused.detail}. Nothing was changed."
    headers = dict(refused.headers or {})
    return answer(request, ProblemError(refused.status_code, code, detail, headers=headers))


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    _log.error("request_broke", path=request.url.path, exc_info=error)
    detail = "Kern failed, and its log says where. It is not known whether anything was changed."
    return answer(request, ProblemError(500, "error", detail))


def _place(path: Sequence[str | int]) -> str:
    """Return where a value stands, without the part of the request if it is the body."""
    parts = [str(part) for part in path]
    if len(parts) > 1 and parts[0] == "body":
        parts = parts[1:]
    return ".".join(parts)
