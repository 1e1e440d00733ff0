"""Entries of the feed as CloudEvents in JSON, and the signatures of Standard Webhooks."""

import base64
import json
import secrets
from datetime import UTC, datetime

from pydantic import JsonValue

from kern.contracts.feed import FeedEntry
from kern.contracts.subscriptions import Subscription

MEDIA_TYPE = "application/cloudevents+json"
_PREFIX = "whsec_"
_SECRET_BYTES = 32
_PLAIN = (
    *("ask", "tool", "risk", "digest", "due_at", "verdict", "by", "to", "times", "outcome", "code"),
)
_CONTENT = ("title",)


def new_secret() -> str:
    """Return a secret for a webhook."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def body_of(subscription: Subscription, entry: FeedEntry, public_url: str | None) -> str:
    """Return an entry as a CloudEvent, which is kept, signed and sent as it is.

    Without `with_content` nothing in it holds an argument of a call: it has a link and a digest.
    """
    shown = (*_PLAIN, *(_CONTENT if subscription.with_content else ()))
    data: dict[str, JsonValue] = {
        "kind": entry.kind,
        "requirement": entry.requirement_id,
        "run": entry.run_id,
        "component": entry.component_id,
        "text": entry.text,
        "link": link_to(entry.requirement_id, entry.run_id, public_url),
        "subject": entry.subject if subscription.with_content else None,
        **{name: entry.data[name] for name in shown if name in entry.data},
    }
    event: dict[str, JsonValue] = {
        "specversion": "1.0",
        "id": str(entry.seq),
        "source": public_url or "urn:kern",
        "type": _type_of(entry),
        "subject": entry.requirement_id or entry.run_id,
        "time": f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "datacontenttype": "application/json",
        "data": {name: value for name, value in data.items() if value is not None},
    }
    if entry.tenant:
        event["kerntenant"] = entry.tenant
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def link_to(requirement_id: str | None, run_id: str, public_url: str | None) -> str | None:
    """Return where people see what an entry is about."""
    if public_url is None:
        return None
    place = f"runs/{run_id}" if requirement_id is None else f"requirements/{requirement_id}"
    return f"{public_url}/desk/{place}"


def signed_headers(delivery_id: str, body: str, signing: list[str], at: datetime) -> dict[str, str]:
    """Return the headers by which a receiver verifies who sent a body, and that it is not old."""
    from standardwebhooks import Webhook  # noqa: PLC0415  only where webhooks are sent

    signatures = [Webhook(secret).sign(delivery_id, at, body) for secret in signing]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _type_of(entry: FeedEntry) -> str:
    if entry.requirement_id is None:
        return f"dev.kern.run.{entry.kind.removeprefix('run_')}.v1"
    return f"dev.kern.requirement.{entry.kind}.v1"
