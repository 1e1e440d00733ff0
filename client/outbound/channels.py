"""Reaches people by apprise, which knows over a hundred services by their URLs: mail, chats, pages.

Such a URL is a secret: it holds passwords and tokens. Nothing here logs or returns it.
"""

import asyncio
import contextlib
import importlib.util
import logging
import warnings
from typing import Any

from kern.client.outbound.messages import Message
from kern.db.subscriptions.deliveries import Attempt
from kern.errors import InvalidInput

_SECONDS = 60.0


def channel_scheme(url: str) -> str:
    """Return how a channel is shown: the scheme of its URL.

    Raises:
        InvalidInput: apprise is not installed, or cannot use the URL.
    """
    if importlib.util.find_spec("apprise") is None:
        message = (
            "Channels are reached by the package apprise, which is not installed here: install "
            "Kern as `kern-runs[notify]`, in the processes of the workers too."
        )
        raise InvalidInput(message)
    if not _channel(url):
        message = (
            "The URL of the channel cannot be used: write it as https://appriseit.com describes "
            "it, such as mailtos://user:password@example.com?to=dana@example.com."
        )
        raise InvalidInput(message)
    return f"{url.partition('://')[0].lower()}://"


async def send_message(url: str, message: Message) -> Attempt:
    """Make an attempt; it raises nothing that the receiver or the network can cause."""
    if importlib.util.find_spec("apprise") is None:
        return Attempt(is_delivered=False, answer="This worker has no apprise: kern-runs[notify].")
    channel = _channel(url)
    try:
        async with asyncio.timeout(_SECONDS):
            is_sent = channel and await channel.async_notify(
                body=message.body, title=message.title, body_format="text"
            )
    except TimeoutError:
        return Attempt(is_delivered=False, answer=f"Not sent within {_SECONDS:g} s.")
    except (OSError, TypeError, ValueError) as error:
        return Attempt(is_delivered=False, answer=f"{type(error).__name__} while it was sent.")
    if is_sent:
        return Attempt(is_delivered=True, answer="Sent.")
    return Attempt(is_delivered=False, answer="The service did not take it.")


def _channel(url: str) -> Any:  # noqa: ANN401  apprise has no types
    """Return the channel of a URL; something false if it cannot be used."""
    # Its plugins are imported by the first URL; some of them import what Python deprecates.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _new_channel(url)


def _new_channel(url: str) -> Any:  # noqa: ANN401  as above
    import apprise  # noqa: PLC0415  optional, and slow to import

    # Below this level it logs parts of the URL.
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    channel = apprise.Apprise()
    with contextlib.suppress(TypeError):
        channel.add(url)
    return channel
