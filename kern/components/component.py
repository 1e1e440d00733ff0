"""What agents, teams and pipelines have in common: an id under which runs find their code again."""

import re
from typing import ClassVar

from pydantic import JsonValue

from kern.components.code_identity import is_same
from kern.contracts.database import Database
from kern.errors import InvalidDefinition
from kern.values.validation import described

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def slug(name: str) -> str:
    """Turn a name that people read into an id: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")[:100]


class Component:
    """Something that runs: it is registered under `id`, and holds no session."""

    kind: ClassVar[str] = "component"

    def __init__(self, component_id: str, name: str, db: Database | None) -> None:
        if not _ID.fullmatch(component_id):
            shown = repr(component_id) if component_id else f"What is left of the name {name!r}"
            message = (
                f"{shown} cannot be the id of a component: use up to 100 letters (a to z), digits, "
                "dots, underscores and hyphens, beginning with a letter or digit, or pass id= "
                "beside name=."
            )
            raise InvalidDefinition(message)
        self.id = component_id
        self.name = name
        self.db = _a_database(db)

    @property
    def fingerprint(self) -> str:
        """A digest of the declaration: two objects with the same one do the same."""
        raise NotImplementedError

    @property
    def code(self) -> tuple[object, ...]:
        """What of it is executed by this process: functions, and how its model is reached."""
        return ()

    @property
    def initial_state(self) -> dict[str, JsonValue]:
        """The state with which a new session begins."""
        return {}

    @property
    def parts(self) -> tuple["Component", ...]:
        """The components inside this one, which are registered with it."""
        return ()

    def part(self, label: str) -> "Component | None":
        """Return the component that runs inside this one under a label of its path."""
        return next((one for one in self.parts if one.id == label), None)


def _a_database(given: object) -> Database | None:
    if given is None or isinstance(given, Database):
        return given
    message = f"db is {described(given)}: use SqliteDb(…), PostgresDb(…) or InMemoryDb()."
    raise InvalidDefinition(message)


def refuse_other(known: Component, component: Component) -> None:
    """Refuse a component under the id of one that it cannot stand for.

    Raises:
        InvalidDefinition: they are declared differently, or around other code.
    """
    if known.fingerprint == component.fingerprint and is_same(known.code, component.code):
        return
    message = (
        f"Two different components have the id {component.id!r}. Runs find their code by id, so "
        "give each its own: pass id= or another name=. Two of one declaration may share one, if "
        "their functions were made by the same lines, around the same values."
    )
    raise InvalidDefinition(message)
