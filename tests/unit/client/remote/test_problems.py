"""Refusals of the API become the errors that a database raises."""

import httpx2
import pytest

from kern.client.remote.problems import error_of
from kern.errors import (
    AlreadyResolved,
    InvalidInput,
    KernError,
    NotAllowed,
    SessionBusy,
    Unavailable,
)

URL = "https://kern.example"
PROBLEM = {"Content-Type": "application/problem+json"}


def refused(code: str, **more: object) -> KernError:
    body = {"code": code, "detail": "It is refused.", "status": 422, **more}
    return error_of(httpx2.Response(422, json=body, headers=PROBLEM), URL)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("session_busy", SessionBusy),
        ("expired", AlreadyResolved),
        ("person_required", NotAllowed),
        ("idempotency_key_reused", InvalidInput),
        ("too_many", Unavailable),
        ("a_code_of_a_later_version", KernError),
    ],
)
def test_a_code_is_an_error(code: str, error: type[KernError]) -> None:
    found = refused(code)
    assert type(found) is error
    assert str(found) == "It is refused."


def test_the_run_and_the_values_are_kept() -> None:
    found = refused("invalid_input", run_id="r", errors=[{"field": "limit", "message": "too big"}])
    assert (str(found), found.run_id) == ("It is refused. (limit: too big)", "r")


@pytest.mark.parametrize("status", [302, 404, 502])
def test_what_is_not_kern_is_unavailable(status: int) -> None:
    found = error_of(httpx2.Response(status, text="<html>"), URL)
    assert isinstance(found, Unavailable)
    assert URL in str(found)
