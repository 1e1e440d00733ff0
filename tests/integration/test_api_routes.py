"""Every route of the API: what is another tenant's is not there, and reading changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Table, select
from sqlmodel import Session

from kern.contracts.viewer import OPERATOR
from kern.db.engine.base import KernRow
from kern.db.engine.stores import SqliteStore
from kern.db.reading import listings
from kern.db.reading.run_outputs import run_output
from kern.models.scripted import Call
from kern.values.ids import new_id
from kern.values.roles import Role
from tests.support import seeds
from tests.support.served_store import EVERYTHING, ServedStore, served
from tests.support.templates import sqlite_with_tables

_TABLES = KernRow.metadata.sorted_tables
_USED = ("kern_tokens", "used_at")
# What a route takes beside the ids in its path.
_SOON = (datetime.now(UTC) + timedelta(hours=6)).isoformat()
_BODIES: dict[tuple[str, str], object] = {
    ("post", "/v1/requirements/{requirement_id}/decisions"): {"verdict": "reject", "note": "No."},
    ("post", "/v1/requirements/{requirement_id}/delegation"): {"to": "ravi"},
    ("post", "/v1/requirements/{requirement_id}/comments"): {"text": "Why?"},
    ("put", "/v1/requirements/{requirement_id}/snooze"): {"until": _SOON},
    ("put", "/v1/me/absence"): {"until": _SOON},
    ("post", "/v1/batches"): {
        "verdict": "reject",
        "note": "No.",
        "items": [{"requirement_id": "{requirement_id}"}],
    },
    # No worker has it.
    ("post", "/v1/runs"): {"component": "seeded", "input": "Hi"},
    ("patch", "/v1/sessions/{session_id}"): {"name": "Mine"},
    ("post", "/v1/audit/verifications"): {"run": "{run_id}"},
    ("post", "/v1/webhooks"): {"url": "https://example.com/kern"},
    ("post", "/v1/webhooks/{webhook_id}/rotation"): {"overlap_hours": 1},
    ("post", "/v1/webhooks/{webhook_id}/replays"): {"after": 0},
    ("post", "/v1/channels"): {"recipient": "mallory", "url": "json://example.com/kern"},
    ("post", "/v1/tokens"): {"label": "mine", "subject": "mallory", "roles": ["viewer"]},
}
_QUERIES = {
    "/v1/audit/export": {"run": "{run_id}"},
    "/v1/decisions": {"by": "dana"},
    "/v1/web-sessions": {"subject": "mallory"},
}
# What a viewer may not read: the log of decisions, who has access, and who else is informed.
_NOT_FOR_VIEWERS = {
    "/v1/audit/export",
    "/v1/decisions",
    "/v1/tokens",
    "/v1/web-sessions",
    "/v1/webhooks",
    "/v1/channels",
    "/v1/deliveries",
}


@dataclass(frozen=True)
class World:
    """An API, and what a tenant has in it."""

    api: ServedStore
    ids: dict[str, str]
    operations: list[tuple[str, str]]

    def client(self, secret: str) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx2.Client(base_url=self.api.address, headers=headers, timeout=30)

    def call(self, client: httpx2.Client, method: str, path: str) -> httpx2.Response:
        """Call a route about what the tenant has."""
        body, query = _BODIES.get((method, path)), _QUERIES.get(path, {})
        named = {name: value.format(**self.ids) for name, value in query.items()}
        if isinstance(body, dict) and "run" in body:
            body = {"run": self.ids["run_id"]}
        if isinstance(body, dict) and "items" in body:
            body = {**body, "items": [{"requirement_id": self.ids["requirement_id"]}]}
        target = path.format(**self.ids)
        return client.request(method.upper(), target, json=body, params=named)

    def reads(self) -> list[str]:
        return [path for method, path in self.operations if method == "get"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SqliteStore]:
    found = sqlite_with_tables(tmp_path / "kern.db")
    yield found
    found.close()


@pytest.fixture
def world(db: SqliteStore) -> Iterator[World]:
    wire = seeds.waiting(db, Call("wire", amount=5.0), user_id="mara")
    seeds.torn(db)
    run = db.read_now(lambda tx: run_output(tx, wire.run_id, OPERATOR))
    with served(db) as api:
        token = api.token("dana")
        ids = {
            "requirement_id": wire.requirement_id,
            "run_id": wire.run_id,
            "session_id": run.session_id,
            "token_id": token.token.id,
            # Theirs are tried where they are sent to: in test_webhooks and test_channels.
            **{name: new_id() for name in ("webhook_id", "channel_id", "delivery_id")},
        }
        document = httpx2.get(f"{api.address}/v1/openapi.json").json()
        operations = [(method, path) for path, item in document["paths"].items() for method in item]
        world = World(api, ids, operations)
        # One of two approvals: the log has an entry, and the requirement is open.
        with world.client(token.secret) as dana:
            path = f"/v1/requirements/{wire.requirement_id}"
            digest = dana.get(path).json()["digest"]
            body = {"verdict": "approve", "digest": digest}
            assert dana.post(f"{path}/decisions", json=body).status_code == 201
        (decision,) = db.read_now(lambda tx: listings.decisions_of(tx, wire.run_id))
        ids["decision_id"] = decision.id
        yield world


def test_what_is_another_tenants_is_at_no_route(world: World) -> None:
    secret = world.api.token("mallory", EVERYTHING, tenant="other").secret
    with world.client(secret) as mallory:
        for method, path in world.operations:
            answer = world.call(mallory, method, path)
            has_worker = (method, path) != ("post", "/v1/runs")
            named = (
                not has_worker
                or "{" in path
                # Nobody of that name has signed in there.
                or (method, path) == ("delete", "/v1/web-sessions")
                or "run_id" in str((_BODIES.get((method, path)), _QUERIES.get(path)))
            )
            is_batch = path == "/v1/batches"
            created = method == "post" and not is_batch
            expected = 404 if named else (201 if created else 200)
            assert answer.status_code == expected, (method, path, answer.text)
            theirs = [name for name, value in world.ids.items() if value in answer.text]
            assert not is_batch or "not_found" in answer.text
            # A refusal repeats what was asked for.
            assert named or is_batch or not theirs, (method, path, theirs)
    # Nothing was changed by what was refused.
    with world.client(world.api.token("dana").secret) as dana:
        assert world.call(dana, "get", "/v1/sessions/{session_id}").json()["name"] is None
        assert world.call(dana, "get", "/v1/runs/{run_id}").json()["status"] == "paused"


def test_a_viewer_changes_nothing_at_any_route(world: World) -> None:
    with world.client(world.api.token("vera", [Role.viewer]).secret) as vera:
        for method, path in world.operations:
            answer = world.call(vera, method, path)
            is_refused = method != "get" or path in _NOT_FOR_VIEWERS
            assert answer.status_code == (403 if is_refused else 200), (method, path, answer.text)


def test_nobody_without_a_token_reaches_any_route(world: World) -> None:
    with httpx2.Client(base_url=world.api.address) as stranger:
        for method, path in world.operations:
            assert world.call(stranger, method, path).status_code == 401, (method, path)


def test_reading_changes_no_row(world: World, db: SqliteStore) -> None:
    with world.client(world.api.token("dana").secret) as dana:
        dana.get("/v1/me")
        before = dump(db)
        for path in world.reads():
            answer = world.call(dana, "get", path)
            assert answer.status_code == 200, (path, answer.text)
            dana.head(path.format(**world.ids))
        events = f"/v1/runs/{world.ids['run_id']}/events"
        stream = dana.get(events, headers={"Accept": "text/event-stream"})
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert "event: run_paused" in stream.text
        assert dump(db) == before


def dump(db: SqliteStore) -> dict[str, list[str]]:
    """Return all rows of all tables; when a token was last used is none of what is compared."""
    return db.read_now(lambda tx: {table.name: rows_of(tx, table) for table in _TABLES})


def rows_of(tx: Session, table: Table) -> list[str]:
    columns = [column for column in table.c if (table.name, column.name) != _USED]
    return sorted(repr(tuple(row)) for row in tx.connection().execute(select(*columns)))
