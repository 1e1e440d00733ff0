"""Turns what the openai client raises and what servers report into ProviderError."""

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from kern.models.base import ProviderError
from kern.values.canonical import clean_text

_LONGEST = 1000
_KEY_LIKE = re.compile(r"\b(?:sk|rk|pk)-[\w-]{8,}|(?<=[Bb]earer )[\w.~+/-]{8,}")
_FINAL_WORDS = re.compile(
    r"invalid|unsupported|policy|not_found|context_length|too_large|too_small|authentication"
    r"|permission|content_filter|mismatch|empty_image|parse_error|failed_to_download"
)
_NEXT_STEP = {
    "rate_limited": "Lower the load or ask the provider for a higher limit.",
    "server_error": "If it keeps failing, look at the provider's status and logs.",
    "timeout": "Raise the model's `timeout` if its answers take that long.",
    "connection": "Check `base_url` and that the server can be reached from here.",
    "insufficient_quota": "Add credit to the provider's account or raise its spending limit.",
    "refused": "Change what the message names, then run it again.",
}
# Besides time-outs, rate limits and errors of the server.
_PASSING = frozenset({HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY})
_REFUSED_STEP = {
    401: "Check the API key: `api_key=` or OPENAI_API_KEY.",
    403: "Check that the API key may use this model.",
    404: "Check the model's id and `base_url`.",
    413: "Send less: a smaller window of history or smaller tool results.",
}


@dataclass(frozen=True)
class Target:
    """Whom a call went to, for error texts; `secret` is masked wherever it shows."""

    model: str
    base_url: str
    secret: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The server's name and port, without credentials that the URL may carry."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2] or repr(self.base_url)

    def mask(self, text: str) -> str:
        """Return `text` without the key, cleaned and cut to a length that fits a log line."""
        if self.secret:
            text = text.replace(self.secret, "***")
        text = clean_text(_KEY_LIKE.sub("***", text)).strip()
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (cut)"

    def error(
        self,
        problem: str,
        *,
        code: str,
        retryable: bool,
        retry_after: float | None = None,
        next_step: str | None = None,
    ) -> ProviderError:
        """Build the error: what happened, with which model and server, and what to do next."""
        problem = self.mask(problem).rstrip(".")
        step = next_step or _NEXT_STEP[code]
        return ProviderError(
            f"Model {self.model!r} at {self.host}: {problem}. {step}",
            code=code,
            retryable=retryable,
            retry_after=retry_after,
        )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read how many seconds the provider asks to wait; `now` is the Unix time dates count from."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / divisor
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return seconds if seconds >= 0 else None


def provider_message(body: object, fallback: str) -> str:
    """Find the sentence in an error body, whichever of the common shapes it has."""
    if isinstance(body, str) and body.strip():
        return body
    if not isinstance(body, dict):
        return fallback
    for key in ("message", "detail", "error", "error_description"):
        value = body.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, dict):
            return provider_message(value, fallback)
    return json.dumps(body, default=str)


def status_error(
    target: Target, status: int, headers: Mapping[str, str], body: object, fallback: str
) -> ProviderError:
    """Map an HTTP status and what came with it."""
    details = body if isinstance(body, dict) else {}
    problem = f"HTTP {status}: {provider_message(body, fallback)}"
    if "insufficient_quota" in (details.get("code"), details.get("type")):
        return target.error(problem, code="insufficient_quota", retryable=False)
    code = "refused"
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT}:
        code = "timeout"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        code = "rate_limited"
    elif status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        code = "server_error"
    should = headers.get("x-should-retry")
    retryable = {"true": True, "false": False}.get(should or "", code != "refused")
    next_step = _REFUSED_STEP.get(status)
    if retryable is not (code != "refused"):
        next_step = f"The provider says that it is {'' if retryable else 'not '}worth a retry."
    wait = retry_after(headers, time.time()) if retryable else None
    return target.error(
        problem, code=code, retryable=retryable, retry_after=wait, next_step=next_step
    )


def reported_error(target: Target, body: object) -> ProviderError:
    """Map an error that came inside an answer that had begun, where there is no HTTP status.

    Unless its code says that the request itself is at fault, the same call may succeed later.
    """
    details = body if isinstance(body, dict) else {}
    marks = " ".join(str(details.get(key) or "") for key in ("code", "type")).lower()
    problem = provider_message(body, "the provider reported an error without saying which")
    if re.fullmatch(r"[45]\d\d", str(details.get("code"))):
        return status_error(target, int(str(details["code"])), {}, body, problem)
    if marks.strip():
        problem = f"{marks.strip()}: {problem}"
    if "insufficient_quota" in marks:
        return target.error(problem, code="insufficient_quota", retryable=False)
    if "rate_limit" in marks:
        return target.error(problem, code="rate_limited", retryable=True)
    if _FINAL_WORDS.search(marks):
        return target.error(problem, code="refused", retryable=False)
    return target.error(problem, code="server_error", retryable=True)


def openai_error() -> type[Exception]:
    """Return the base of what the openai client raises."""
    import openai  # noqa: PLC0415 (so that importing kern stays fast)

    return openai.OpenAIError


def raised_error(target: Target, error: Exception) -> ProviderError:
    """Map what the openai client, or reading its answer, raised."""
    import openai  # noqa: PLC0415 (so that importing kern stays fast)

    match error:
        case openai.APITimeoutError() | TimeoutError():
            return target.error("it did not answer in time", code="timeout", retryable=True)
        case openai.APIConnectionError():
            cause = error.__cause__
            detail = f" ({type(cause).__name__}: {cause})" if cause else ""
            problem = f"the connection failed{detail}"
            return target.error(problem, code="connection", retryable=True)
        case openai.APIStatusError():
            headers = error.response.headers
            return status_error(target, error.status_code, headers, error.body, error.message)
        case openai.APIError():
            return reported_error(target, error.body or error.message)
        case openai.OpenAIError():
            return target.error(str(error), code="refused", retryable=False)
        case _:
            problem = f"its answer cannot be read ({type(error).__name__}: {error})"
            return target.error(problem, code="server_error", retryable=True)
