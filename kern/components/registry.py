"""The components that this process can execute, by id."""

import sys
import time
import weakref
from dataclasses import dataclass

from kern.components.component import (
    Component,
    definition_of,
    refuse_declaration,
    refuse_other,
    when_orphaned,
)
from kern.errors import NotFound


@dataclass(frozen=True)
class Orphan:
    """A component that nobody but the registry has any more, since a moment of `monotonic`."""

    component: Component
    since: float


@dataclass(frozen=True)
class _Entry:
    """The latest component of an id, and earlier ones of the same declaration."""

    latest: weakref.ref[Component]
    earlier: weakref.WeakSet[Component]

    @property
    def living(self) -> Component | None:
        """One of them that is alive: any can stand for the others."""
        return self.latest() or next(iter(self.earlier), None)

    def has_besides(self, component: Component) -> bool:
        """Whether another than this is alive."""
        return any(item not in {None, component} for item in (self.latest(), *self.earlier))


class Registry:
    """The components of one process.

    Runs name their component by id; code is looked up when it executes.

    A component that the program has dropped is an *orphan*. The registry keeps it, until the
    workers have nothing to do for it and have it forgotten.

    Attributes:
        keeps_orphans: False in a process that executes nothing, which forgets them at once.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # By the identity of the component, so that one of the same id can be another.
        self._orphans: dict[int, Orphan] = {}
        # The fingerprints of the forgotten: what an id stands for never depends on the time.
        self._fingerprints: dict[str, str] = {}
        self.keeps_orphans = True

    def register(self, component: Component) -> None:
        """Add a component and its parts; the same declaration again changes nothing.

        Raises:
            InvalidDefinition: another component with the same id is declared differently. In an
                interactive session the later one replaces the earlier, because cells are executed
                again.
        """
        existing = self.find(component.id)
        if existing is not component:
            earlier = weakref.WeakSet[Component]()
            if existing is not None and not _interactive():
                refuse_other(existing, component)
                earlier = self._entries[component.id].earlier
                if id(existing) not in self._orphans:
                    earlier.add(existing)
            elif component.id in self._fingerprints and not _interactive():
                refuse_declaration(self._fingerprints[component.id], component)
            self._entries[component.id] = _Entry(weakref.ref(component), earlier)
            when_orphaned(component, self._adopt)
            if existing is not None:
                self._orphans.pop(id(existing), None)
        for part in definition_of(component).parts:
            self.register(part)

    def find(self, component_id: str) -> Component | None:
        """Return the component with this id, if this process has it."""
        entry = self._entries.get(component_id)
        if entry is None:
            return None
        living = entry.living
        if living is not None:
            return living
        # A collection of cycles has cleared the reference to an orphan.
        orphans = (orphan.component for orphan in list(self._orphans.values()))
        return next((orphan for orphan in orphans if orphan.id == component_id), None)

    def get(self, component_id: str) -> Component:
        """Return the component with this id.

        Raises:
            NotFound: this process has none; another worker may.
        """
        component = self.find(component_id)
        if component is None:
            ids = ", ".join(sorted(self._entries)) or "none"
            message = (
                f"No component with the id {component_id!r} is registered in this process (there "
                f"are: {ids}). "
                "Start a worker with the app that declares it."
            )
            raise NotFound(message)
        return component

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all components, in the order in which they were registered."""
        return tuple(self._entries)

    def added_by(self, component: Component) -> set[str]:
        """Return the ids that registering a component would add, its parts' among them."""
        ids: set[str] = set()
        waiting = [component]
        while waiting:
            part = waiting.pop()
            if part.id not in ids:
                ids.add(part.id)
                waiting.extend(definition_of(part).parts)
        return ids - self._entries.keys()

    def orphans(self) -> list[Orphan]:
        """Return the components that nobody else has any more, the oldest orphan first.

        Parts of a component that is still there are none: its runs need them.
        """
        orphans = list(self._orphans.values())
        if not orphans:
            return []
        components = [self.find(component_id) for component_id in self.ids]
        parts = {
            id(part)
            for component in components
            if component is not None
            for part in definition_of(component).parts
        }
        return [orphan for orphan in orphans if id(orphan.component) not in parts]

    def forget(self, component: Component) -> bool:
        """Remove an orphan; False if its id stands for a newer component by now."""
        if self._orphans.pop(id(component), None) is None:
            return False
        del self._entries[component.id]
        fingerprint = definition_of(component).fingerprint
        if not component.id.endswith(fingerprint[:12]):
            self._fingerprints[component.id] = fingerprint
        return True

    def release_orphans(self) -> None:
        """Forget all orphans: nothing is executed here any more."""
        for orphan in list(self._orphans.values()):
            self.forget(orphan.component)

    def _adopt(self, component: Component) -> None:
        """Keep a component, or remove it, since nobody else has it any more; in any thread."""
        entry = self._entries.get(component.id)
        if entry is None or entry.has_besides(component):
            return
        self._orphans[id(component)] = Orphan(component, time.monotonic())
        if not self.keeps_orphans:
            self.forget(component)


def _interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


registry = Registry()
