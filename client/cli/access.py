"""How a command reaches the service: on the database that exists, or over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from kern.client.service.operations import OperatorService
from kern.components.runner import is_remote
from kern.contracts.viewer import system_user
from kern.errors import InvalidInput
from kern.process.settings import read_settings

Result = TypeVar("Result")
ServiceT = TypeVar("ServiceT", bound=OperatorService)


class Connection(Protocol):
    """A connection to the service that is kept for as long as somebody works with it."""

    def call(self, work: Callable[[OperatorService], Awaitable[Result]]) -> Result:
        """Have an operation done, and wait for it."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


def perform(work: Callable[[OperatorService], Awaitable[Result]]) -> Result:
    """Ask the service for something, and wait for it.

    Raises:
        NotFound: nothing was ever kept where the settings say.
        Conflict: its tables belong to another version of Kern.
        Unavailable: the database, or the API, does not answer.
    """
    with _opened() as service:
        return run_with(service, work)


def run_with(service: ServiceT, work: Callable[[ServiceT], Awaitable[Result]]) -> Result:
    """Ask a service for something, wait for it, and finish what that began."""
    return asyncio.run(_perform(work, service))


def require_database(command: str) -> None:
    """Refuse a command that works on a database and with components where the API is configured.

    Raises:
        InvalidInput: `KERN_API_URL` is set.
    """
    if is_remote():
        message = (
            f"`kern {command}` works on a database, and KERN_API_URL says that this machine "
            "works over HTTP. Nothing was done. Unset it, or run the command where the database is."
        )
        raise InvalidInput(message)


@contextmanager
def connected() -> Generator[Connection]:
    """Keep the service open for somebody who asks for one thing after another. As `perform`."""
    connection = _connection()
    try:
        yield connection
    finally:
        connection.close()


def decider(by: str | None) -> str:
    """Return who decides: the name that was given, or else that of `KERN_BY`.

    Over HTTP it is whoever the token belongs to.

    Raises:
        InvalidInput: the name given is empty.
        NotAllowed: the token is somebody else's.
    """
    by = read_settings().by if by is None else by
    if by is not None and not by.strip():
        message = "--by and KERN_BY need a name: it is kept with the decision."
        raise InvalidInput(message)
    if is_remote():
        return _owner_of_token(by)
    return by or system_user()


@contextmanager
def _opened() -> Generator[OperatorService]:
    settings = read_settings()
    if is_remote():
        from kern.client.remote.address import configured_address
        from kern.client.remote.service import RemoteService

        yield RemoteService(configured_address(settings))
        return
    from kern.client.service.installation import existing_service

    with existing_service(settings) as service:
        yield service


def _connection() -> Connection:
    settings = read_settings()
    if is_remote():
        from kern.client.remote.address import configured_address
        from kern.client.remote.runtime import RemoteRuntime

        return RemoteRuntime(configured_address(settings))
    from kern.client.processes.operator_runtime import OperatorRuntime

    return OperatorRuntime(settings)


def _owner_of_token(by: str | None) -> str:
    from kern.client.remote.address import configured_address
    from kern.client.remote.service import RemoteService

    async def name(service: RemoteService) -> str:
        await service.identity.check_person(by)
        return (await service.identity.principal()).name

    return run_with(RemoteService(configured_address()), name)


async def _perform(work: Callable[[ServiceT], Awaitable[Result]], service: ServiceT) -> Result:
    try:
        return await work(service)
    finally:
        await service.close()
