"""Examines what an operator's machine stands on: the API, the token, and what it says is stuck."""

import asyncio
from collections.abc import Iterator

from kern.client.cli.findings import Finding
from kern.client.cli.printing import count
from kern.client.remote.address import configured_address
from kern.client.remote.service import RemoteService
from kern.contracts.stuck import StuckReport
from kern.contracts.viewer import present_operator
from kern.errors import KernError
from kern.process.settings import Settings
from kern.requirements import Principal


def remote_findings(settings: Settings, app: str | None) -> Iterator[Finding]:
    """Yield what the API says of itself; the database is not looked at, nor Temporal, nor an app.

    Args:
        settings: They name the API.
        app: An app that should be looked at.
    """
    try:
        address = configured_address(settings)
        principal, report = asyncio.run(_read(RemoteService(address)))
    except KernError as error:
        yield Finding("api", ok=False, text=str(error))
        return
    tenant = f" in the tenant {principal.tenant!r}" if principal.tenant else ""
    yield Finding("api", ok=True, text=f"{address.url} answers {principal.name}{tenant}")
    present = [worker.name for worker in report.workers if worker.is_present]
    yield Finding("workers", None, ", ".join(present) or "none has reported in the last minute")
    text = f"{count(report.count, 'thing')} of {count(report.checked, 'open run')} (`kern stuck`)"
    yield Finding("stuck", None if report.count == 0 else False, text)
    text = "the server's database and Temporal are not looked at: run `kern doctor` there"
    yield Finding("scope", None, text)
    if app is not None:
        yield Finding("app", None, f"{app} is not looked at: this machine works over HTTP")


async def _read(service: RemoteService) -> tuple[Principal, StuckReport]:
    try:
        report = await service.stuck.read(present_operator())
        return await service.identity.principal(), report
    finally:
        await service.close()
