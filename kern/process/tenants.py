"""The tenant for which code acts: the one that it names, or else the one of its process."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from kern.values.tenants import DEFAULT_TENANT, tenant_name

VARIABLE = "KERN_TENANT"
_tenant_of_code: ContextVar[str | None] = ContextVar("kern_tenant", default=None)


@contextmanager
def acting_for(name: str) -> Generator[None]:
    """Act for a tenant as long as the block lasts: here, and in tasks that begin in it.

    Raises:
        InvalidInput: it can be no tenant's name.
    """
    token = _tenant_of_code.set(tenant_name("tenant", name))
    try:
        yield
    finally:
        _tenant_of_code.reset(token)


def named_tenant() -> str | None:
    """Return the tenant that this code or the environment of the process names; None for none.

    An empty `KERN_TENANT` names none.

    Raises:
        InvalidInput: the environment has what can be no tenant's name.
    """
    tenant = _tenant_of_code.get()
    # The settings take some time to read, and every call of a component asks.
    return _of_process(os.environ.get(VARIABLE) or None) if tenant is None else tenant


def present_tenant() -> str:
    """Return the tenant for which this code acts; the default one if it names none."""
    return named_tenant() or DEFAULT_TENANT


@lru_cache(maxsize=8)
def _of_process(value: str | None) -> str | None:
    return None if value is None else tenant_name(VARIABLE, value)
