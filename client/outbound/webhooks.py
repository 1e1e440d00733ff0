"""Sends webhooks: signed CloudEvents, each to the address that was checked, and nowhere else."""

import asyncio
import contextlib
import functools
import ssl
from urllib.parse import urlsplit

import httpx2

from kern.client.outbound.addresses import AddressGuard, AddressRefusedError, Target
from kern.client.outbound.cloud_events import MEDIA_TYPE, signed_headers
from kern.db.subscriptions.deliveries import Attempt, ClaimedDelivery
from kern.process.clock import utc_now

_MOST_ANSWERED = 1_000
# What an answer says besides its status is shown to people, and worth no longer wait.
_TEXT_SECONDS = 1.0
_GONE_STATUS = 410
_SUCCESS, _REDIRECT, _REFUSAL = 200, 300, 400


class WebhookSender:
    """Sends deliveries to URLs: to the address that was checked, and nowhere else."""

    def __init__(self, guard: AddressGuard, seconds: float) -> None:
        self._guard = guard
        self._seconds = seconds

    async def send(self, claimed: ClaimedDelivery, signing: list[str]) -> Attempt:
        """Make an attempt; it raises nothing that the receiver or the network can cause."""
        try:
            async with asyncio.timeout(self._seconds) as limit:
                target = await self._guard.resolve(claimed.subscription.address)
                return await _post(target, claimed, signing, limit)
        except TimeoutError:
            return Attempt(is_delivered=False, answer=f"No answer within {self._seconds:g} s.")
        except AddressRefusedError as error:
            return Attempt(is_delivered=False, answer=str(error))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            return Attempt(is_delivered=False, answer=f"{type(error).__name__}: {error}")


async def _post(
    target: Target, claimed: ClaimedDelivery, signing: list[str], limit: asyncio.Timeout
) -> Attempt:
    headers = {
        "Content-Type": MEDIA_TYPE,
        "User-Agent": "Kern",
        "Host": _host_of(target.url),
        **signed_headers(claimed.delivery.id, claimed.body, signing, utc_now()),
    }
    # What is around the process, such as proxies and .netrc, would undo the check of the address.
    async with (
        httpx2.AsyncClient(
            verify=_ssl_context(), trust_env=False, follow_redirects=False, timeout=None
        ) as client,
        client.stream(
            "POST",
            _url_at(target),
            content=claimed.body.encode(),
            headers=headers,
            extensions={"sni_hostname": target.host},
        ) as response,
    ):
        limit.reschedule(asyncio.get_running_loop().time() + 2 * _TEXT_SECONDS)
        status, text = response.status_code, await _beginning(response)
    if _SUCCESS <= status < _REDIRECT:
        return Attempt(is_delivered=True, status=status, answer=text)
    if _REDIRECT <= status < _REFUSAL:
        text = f"Redirected, which is not followed. {text}"
    return Attempt(is_delivered=False, status=status, answer=text, is_gone=status == _GONE_STATUS)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Return what connections are verified with, read once: it takes longer than to send."""
    return httpx2.create_ssl_context(trust_env=False)


async def _beginning(response: httpx2.Response) -> str:
    """Return the beginning of an answer, or what came of it: its status counts all the same."""
    text = b""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_TEXT_SECONDS):
            async for piece in response.aiter_raw():
                text += piece[:_MOST_ANSWERED]
                if len(text) >= _MOST_ANSWERED:
                    break
    readable = text[:_MOST_ANSWERED].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in readable)


def _host_of(url: str) -> str:
    return urlsplit(url).netloc


def _url_at(target: Target) -> str:
    parts = urlsplit(target.url)
    address = f"[{target.address}]" if ":" in target.address else target.address
    return parts._replace(netloc=f"{address}:{target.port}").geturl()
