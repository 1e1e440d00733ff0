"""Tenants: parts of one installation that know nothing of each other.

A session, its runs and whatever people are asked in them belong to the tenant in which the session
was begun. Whoever acts for a tenant reaches what belongs to it; everything else is not there.
"""

from contextlib import AbstractContextManager

from kern.process.tenants import acting_for

__all__ = ["tenant"]


def tenant(name: str) -> AbstractContextManager[None]:
    """Act for a tenant as long as a `with` block lasts.

    It holds for all that the block asks of components and of `kern.inbox`, in asynchronous code for
    its task alone, and in the tasks that it begins. Threads that the block starts by itself begin
    without a tenant, unless they run in a copy of its context, as those of `asyncio.to_thread` do.
    Outside of any block, `KERN_TENANT` names the tenant of the process.

    Code of tools and steps acts for the tenant of the run that executes it.

    Args:
        name: The tenant, as your application knows it from how the caller authenticated. The empty
            one is the default tenant, in which everything is where nobody names one.

    Raises:
        InvalidInput: it can be no tenant's name; raised when the block begins.
    """
    return acting_for(name)
