"""Keeps one openai client, and so one connection pool, per event loop, server and key."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from kern.process.forks import abandon, on_fork

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS = 10.0


@dataclass
class _Pools:
    """The clients of one loop, and what closes them when that loop shuts down."""

    life: AsyncGenerator[None]
    clients: "dict[tuple[str, str], AsyncOpenAI]" = field(default_factory=dict)


# Not kept by the models: a model that is collected would leave its sockets open.
_pools: dict[asyncio.AbstractEventLoop, _Pools] = {}
_lock = Lock()


async def client_for(base_url: str, key: str) -> "AsyncOpenAI":
    """Return the running loop's client for a server and a key.

    It is closed when the loop shuts down its asynchronous generators, as `asyncio.run` does at its
    end.
    """
    loop = asyncio.get_running_loop()
    client = _existing(loop, base_url, key)
    if client is not None:
        return client
    new_client = await asyncio.to_thread(_build, base_url, key)
    with _lock:
        for closed in [old for old in _pools if old.is_closed()]:
            del _pools[closed]
        is_first = loop not in _pools
        pools = _pools.setdefault(loop, _Pools(_life(loop)))
        client = pools.clients.setdefault((base_url, key), new_client)
    if is_first:
        await anext(pools.life)
    return client


def _existing(loop: asyncio.AbstractEventLoop, base_url: str, key: str) -> "AsyncOpenAI | None":
    with _lock:
        pools = _pools.get(loop)
        return pools.clients.get((base_url, key)) if pools else None


def _build(base_url: str, key: str) -> "AsyncOpenAI":
    """Load openai and make a client; it runs in a thread, as loading takes 1.7 s."""
    import openai  # noqa: PLC0415 (so that importing kern stays fast)

    # How long a call may take is its model's affair.
    timeout = openai.Timeout(None, connect=_CONNECT_SECONDS)
    # The client that openai would make by itself closes its sockets on whatever loop runs when it
    # is collected; this one leaves that to `_life`.
    http = openai.DefaultAsyncHttpxClient(base_url=base_url, timeout=timeout)
    return openai.AsyncOpenAI(
        base_url=base_url, api_key=key, timeout=timeout, max_retries=0, http_client=http
    )


async def _life(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
    """Wait until the loop that this was begun on shuts down, then close its clients."""
    try:
        yield
    finally:
        with _lock:
            pools = _pools.pop(loop, None)
        for client in pools.clients.values() if pools else ():
            await client.close()


def _begin_anew() -> None:
    """Abandon, in a forked child, the connections of the parent."""
    global _lock, _pools
    abandon(_pools)
    _lock, _pools = Lock(), {}


on_fork(in_child=_begin_anew)
