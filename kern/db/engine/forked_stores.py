"""Carries the stores of a process over a fork: each prepares, and the child's begins anew."""

from typing import Protocol
from weakref import WeakSet

from kern.process.forks import on_fork


class Forkable(Protocol):
    """A store, as far as a fork is concerned."""

    def before_fork(self) -> None:
        """Prepare for a fork, in the thread that forks."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...

    def after_fork_in_child(self) -> None:
        """Abandon threads, connections and waiters, which are the parent's."""
        ...


_stores: WeakSet[Forkable] = WeakSet()


def follow_forks(store: Forkable) -> None:
    """Notify a store of every fork of this process, for as long as the store lives."""
    _stores.add(store)


def _before() -> None:
    for store in tuple(_stores):
        store.before_fork()


def _in_parent() -> None:
    for store in tuple(_stores):
        store.after_fork_in_parent()


def _in_child() -> None:
    for store in tuple(_stores):
        store.after_fork_in_child()


on_fork(before=_before, in_parent=_in_parent, in_child=_in_child)
