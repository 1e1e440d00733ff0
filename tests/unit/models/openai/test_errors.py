"""What servers and networks do wrong, and which of it a retry may mend."""

import socket
import traceback
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from pydantic import JsonValue

from kern.models.base import ModelRequest, ProviderError
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.openai.errors import Target, reported_error, retry_after
from kern.run import Message
from tests.support.model_server import Failure, ModelServer, Raw, Step

ASKED = ModelRequest(messages=[Message(role="user", content="hello")])
KEY = "a-very-secret-key"
TARGET = Target("m", "http://user:pass@host:81/v1", KEY)


async def failing(
    failure: Failure | None = None, *, step: Step = "hello", streamed: bool = False
) -> ProviderError:
    with ModelServer([step]) as server:
        server.fail(*([failure] if failure else []))
        model = OpenAIResponses("m", base_url=server.base_url, api_key=KEY)
        with pytest.raises(ProviderError) as caught:
            await model.respond(ASKED, (lambda _: None) if streamed else None)
        assert len(server.requests) == 1
    assert "'m'" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "refused", False),
        (401, "refused", False),
        (403, "refused", False),
        (404, "refused", False),
        (408, "timeout", True),
        (409, "server_error", True),
        (413, "refused", False),
        (422, "refused", False),
        (429, "rate_limited", True),
        (500, "server_error", True),
        (502, "server_error", True),
        (503, "server_error", True),
        (504, "timeout", True),
        (529, "server_error", True),
    ],
)
async def test_statuses(*, status: int, code: str, retryable: bool, streamed: bool) -> None:
    failure = Failure(status, body={"error": {"message": "no such thing"}})
    error = await failing(failure, streamed=streamed)
    assert (error.code, error.retryable, error.retry_after) == (code, retryable, None)
    assert f"HTTP {status}: no such thing. " in str(error)


@pytest.mark.parametrize("place", ["code", "type"])
async def test_an_exhausted_quota_is_final(place: str) -> None:
    body: JsonValue = {"error": {"message": "pay", place: "insufficient_quota"}}
    error = await failing(Failure(429, {"retry-after": "1"}, body))
    assert (error.code, error.retryable, error.retry_after) == ("insufficient_quota", False, None)


@pytest.mark.parametrize(
    ("status", "says", "retryable"), [(500, "false", False), (400, "true", True), (503, "x", True)]
)
async def test_the_provider_has_the_last_word_on_retrying(
    *, status: int, says: str, retryable: bool
) -> None:
    error = await failing(Failure(status, {"x-should-retry": says}, {}))
    assert error.retryable is retryable


async def test_the_wait_that_the_provider_asks_for_is_passed_on() -> None:
    error = await failing(Failure(429, {"retry-after-ms": "1500", "retry-after": "9"}, {}))
    assert error.retry_after == 1.5


NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
IN_A_MINUTE = format_datetime(NOW.replace(minute=1), usegmt=True)
A_MINUTE_AGO = format_datetime(NOW.replace(hour=11, minute=59), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "-5", "retry-after": "2.5"}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": IN_A_MINUTE}, 60.0),
        ({"retry-after": A_MINUTE_AGO}, None),
        ({"retry-after": "Fri, 99 Foo 2026 99:99:99 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW.timestamp()) == seconds


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_dropped_connection_may_be_retried(*, streamed: bool) -> None:
    error = await failing(Failure(drop=True), streamed=streamed)
    assert (error.code, error.retryable) == ("connection", True)
    assert "disconnected" in str(error)


async def test_nobody_listening_may_be_retried() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ProviderError, match=host) as caught:
            await OpenAIChat("m", base_url=f"http://{host}/v1").respond(ASKED)
    assert (caught.value.code, caught.value.retryable) == ("connection", True)


@pytest.mark.parametrize("base_url", ["localhost:8080/v1", "http://", "file:///etc/passwd"])
async def test_a_base_url_that_is_none_is_final(base_url: str) -> None:
    with pytest.raises(ProviderError, match="base_url") as caught:
        await OpenAIChat("m", base_url=base_url).respond(ASKED)
    assert not caught.value.retryable


async def test_a_key_that_no_header_can_carry_is_final_and_not_shown() -> None:
    with pytest.raises(ProviderError, match="API key") as caught:
        await OpenAIChat("m", base_url="http://127.0.0.1:9/v1", api_key="sécret").respond(ASKED)
    assert not caught.value.retryable
    assert "sécret" not in str(caught.value)


async def test_the_key_is_masked_wherever_the_provider_echoes_it() -> None:
    bodies: list[JsonValue] = [
        {"error": {"message": f"bad key {KEY}"}},
        f"<html>{KEY}</html>",
        {"detail": [{"input": KEY}]},
    ]
    for body in bodies:
        error = await failing(Failure(401, body=body))
        shown = "".join(traceback.format_exception(error))
        assert KEY not in shown
        assert "***" in str(error)
        assert "OPENAI_API_KEY" in str(error)


async def test_other_keys_and_credentials_are_masked_too() -> None:
    error = await failing(Failure(401, body={"error": "Bearer abcdefghijkl and sk-proj-12345678"}))
    assert "abcdefghijkl" not in str(error)
    assert "12345678" not in str(error)
    assert "pass" not in str(TARGET.error("x", code="refused", retryable=False))
    assert KEY not in repr(TARGET)


async def test_long_error_texts_are_cut() -> None:
    error = await failing(Failure(400, body={"error": {"message": "x" * 5000}}))
    assert 1000 < len(str(error)) < 1300


@pytest.mark.parametrize(
    "body",
    [
        {"error": "the reason"},
        {"error": {"message": "the reason"}},
        {"message": "the reason"},
        {"detail": "the reason"},
        {"detail": [{"msg": "the reason"}]},
        "the reason",
    ],
)
async def test_the_reason_is_found_in_every_common_shape(body: JsonValue) -> None:
    assert "the reason" in str(await failing(Failure(400, body=body)))


@pytest.mark.parametrize("body", ["<html>Welcome</html>", [1, 2], None])
async def test_an_answer_of_something_else_is_final(body: JsonValue) -> None:
    error = await failing(Failure(200, body=body))
    assert (error.code, error.retryable) == ("refused", False)
    assert "base_url" in str(error)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_is_broken_may_be_retried(*, streamed: bool) -> None:
    kind = {"content-type": "text/event-stream" if streamed else "application/json"}
    error = await failing(Failure(200, kind, 'data: {"output": \n\n'), streamed=streamed)
    assert (error.code, error.retryable) == ("server_error", True)


REPORTED: list[tuple[dict[str, JsonValue], str, bool]] = [
    ({"code": "server_error", "message": "oops"}, "server_error", True),
    ({"code": "rate_limit_exceeded", "message": "oops"}, "rate_limited", True),
    ({"code": "insufficient_quota", "message": "oops"}, "insufficient_quota", False),
    ({"code": "invalid_prompt", "message": "oops"}, "refused", False),
    ({"type": "invalid_request_error", "message": "oops"}, "refused", False),
    ({"code": "context_length_exceeded", "message": "oops"}, "refused", False),
    ({"code": 502, "message": "oops"}, "server_error", True),
    ({"code": "400", "message": "oops"}, "refused", False),
    ({"message": "oops"}, "server_error", True),
]


@pytest.mark.parametrize(("body", "code", "retryable"), REPORTED)
def test_reported_errors(*, body: dict[str, JsonValue], code: str, retryable: bool) -> None:
    error = reported_error(TARGET, body)
    assert (error.code, error.retryable) == (code, retryable)
    assert "oops" in str(error)


LATE: dict[str, JsonValue] = {"code": "rate_limit_exceeded", "message": "too fast"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"status": "failed", "error": LATE}},
        {"type": "error", **LATE},
        {"type": "error", "error": LATE},
        {"error": LATE},
    ],
)
async def test_an_error_in_the_middle_of_a_stream(event: JsonValue) -> None:
    begun: JsonValue = {"type": "response.output_text.delta", "delta": "Hel"}
    error = await failing(step=Raw(events=[begun, event]), streamed=True)
    assert (error.code, error.retryable) == ("rate_limited", True)
    assert "too fast" in str(error)


async def test_a_failed_response_is_an_error() -> None:
    error = await failing(step=Raw({"status": "failed", "error": LATE, "output": []}))
    assert (error.code, error.retryable) == ("rate_limited", True)


@pytest.mark.parametrize("body", [{"error": {"code": 503, "message": "x"}}, {"choices": []}, {}])
async def test_a_chat_answer_without_choices_may_be_retried(body: JsonValue) -> None:
    with ModelServer([Raw(body)]) as server, pytest.raises(ProviderError) as caught:
        await OpenAIChat("m", base_url=server.base_url).respond(ASKED)
    assert (caught.value.code, caught.value.retryable) == ("server_error", True)
