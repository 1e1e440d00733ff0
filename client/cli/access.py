"""How a command reaches the service: on what exists, as the operator of the installation."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from kern.client.processes.operator_runtime import OperatorRuntime
from kern.client.service.installation import existing_service
from kern.client.service.service import Service
from kern.contracts.viewer import system_user
from kern.errors import InvalidInput
from kern.process.settings import read_settings

Result = TypeVar("Result")


def perform(work: Callable[[Service], Awaitable[Result]]) -> Result:
    """Ask the service for something, and wait for it.

    Raises:
        NotFound: nothing was ever kept where the settings say.
        Conflict: its tables belong to another version of Kern.
        Unavailable: the database does not answer.
    """
    with existing_service(read_settings()) as service:
        return run_with(service, work)


def run_with(service: Service, work: Callable[[Service], Awaitable[Result]]) -> Result:
    """Ask a service for something, wait for it, and finish what that began."""
    return asyncio.run(_perform(work, service))


@contextmanager
def connected() -> Generator[OperatorRuntime]:
    """Keep the service open for somebody who asks for one thing after another. As `perform`."""
    connection = OperatorRuntime(read_settings())
    try:
        yield connection
    finally:
        connection.close()


async def _perform(work: Callable[[Service], Awaitable[Result]], service: Service) -> Result:
    try:
        return await work(service)
    finally:
        await service.close()


def decider(by: str | None) -> str:
    """Return who decides: the name that was given, or else that of `KERN_BY`.

    Raises:
        InvalidInput: the name given is empty.
    """
    by = read_settings().by if by is None else by
    if by is not None and not by.strip():
        message = "--by and KERN_BY need a name: it is kept with the decision."
        raise InvalidInput(message)
    return by or system_user()
