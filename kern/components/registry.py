"""The components that this process can execute, by id."""

import sys

from kern.components.component import Component, definition_of, refuse_other
from kern.errors import NotFound


class Registry:
    """The components of one process.

    Runs name their component by id; code is looked up when it executes.
    """

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}

    def register(self, component: Component) -> None:
        """Add a component and its parts; the same declaration again changes nothing.

        Raises:
            InvalidDefinition: another component with the same id is declared differently. In an
                interactive session the later one replaces the earlier, because cells are executed
                again.
        """
        existing = self._components.get(component.id)
        if existing is not None and existing is not component and not _interactive():
            refuse_other(existing, component)
        self._components[component.id] = component
        for part in definition_of(component).parts:
            self.register(part)

    def find(self, component_id: str) -> Component | None:
        """Return the component with this id, if this process has it."""
        return self._components.get(component_id)

    def get(self, component_id: str) -> Component:
        """Return the component with this id.

        Raises:
            NotFound: this process has none; another worker may.
        """
        try:
            return self._components[component_id]
        except KeyError:
            ids = ", ".join(sorted(self._components)) or "none"
            message = (
                f"No component with the id {component_id!r} is registered in this process (there "
                f"are: {ids}). "
                "Start a worker with the app that declares it."
            )
            raise NotFound(message) from None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all components, in the order in which they were registered."""
        return tuple(self._components)


def _interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


registry = Registry()
