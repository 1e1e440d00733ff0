"""What agents, teams and workflows have in common: an id under which runs find their code again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar, cast
from weakref import WeakMethod

from pydantic import BaseModel, JsonValue

from kern.components.code_identity import is_same
from kern.contracts.database import Database
from kern.errors import InvalidDefinition
from kern.values.canonical import digest
from kern.values.validation import described

_DEFINITION = "_definition"
_ADOPTERS = "_adopters"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def slug(name: str) -> str:
    """Turn a name that people read into an id: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.")[:100]


@dataclass(frozen=True, kw_only=True, eq=False)
class Definition:
    """What Kern itself reads of a component, beside its id, name and database.

    Users never need it, so it is not among a component's attributes: `definition_of` returns it.

    Attributes:
        kind: `agent`, `team` or `workflow`.
        declare: Returns the declaration as JSON, from which the fingerprint is made.
        code: The objects of this process that a run executes: functions, and the model's client.
        parts: The components that are parts of this one and are registered with it.
        session_state: The state with which a new session begins.
        output_schema: The model that the content of a run's output is an instance of.
    """

    kind: str
    declare: Callable[[], JsonValue]
    code: tuple[object, ...] = ()
    parts: tuple["Component", ...] = ()
    session_state: Mapping[str, JsonValue] = field(default_factory=dict)
    output_schema: type[BaseModel] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The digest of the declaration: two components with the same one do the same."""
        return digest(self.declare())

    @property
    def initial_state(self) -> dict[str, JsonValue]:
        """A copy of the state with which a new session begins."""
        return dict(self.session_state)

    def part(self, label: str) -> "Component | None":
        """Return the part of this component whose runs have this label in their path."""
        return next((part for part in self.parts if part.id == label), None)


class Component:
    """Something that runs: it is registered under `id`, and holds no session.

    Without an `id` it gets one that is made from its name or, without a name, from `prefix` and its
    fingerprint: the same declaration always gets the same id.
    """

    def __init__(
        self, id: str | None, name: str | None, db: Database | None, *, prefix: str
    ) -> None:
        component_id = id or slug(name or f"{prefix}-{definition_of(self).fingerprint[:12]}")
        if not _ID.fullmatch(component_id):
            label = repr(component_id) if component_id else f"What is left of the name {name!r}"
            message = (
                f"{label} cannot be the id of a component: use up to 100 letters (a to z), digits, "
                "dots, underscores and hyphens, beginning with a letter or digit, or pass id= "
                "beside name=."
            )
            raise InvalidDefinition(message)
        self.id = component_id
        self.name = name or component_id
        self.db = _require_database(db)

    def __del__(self) -> None:
        """Offer the component to the registries that have it, before it is gone for good.

        Python calls this once, when nobody else has the component any more, and lets it live on if
        somebody takes it. So a worker can finish what it executes with it.
        """
        for adopt in vars(self).get(_ADOPTERS, ()):
            adopt(self)

    def _define(self) -> Definition:
        raise NotImplementedError


Definition_co = TypeVar("Definition_co", bound=Definition, covariant=True)


class Defined(Protocol[Definition_co]):
    """A component, seen by the type of its definition."""

    def _define(self) -> Definition_co: ...


def definition_of(component: Defined[Definition_co]) -> Definition_co:
    """Return a component's definition, which is made once: this is the door for Kern's own code.

    Its type follows the component's: of an agent or team it is a `ModelDefinition`, of a workflow a
    `WorkflowDefinition`.
    """
    attributes = vars(component)
    if _DEFINITION not in attributes:
        # The one place that calls it.
        definition = component._define()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        attributes[_DEFINITION] = definition
    return cast("Definition_co", attributes[_DEFINITION])


def _require_database(value: object) -> Database | None:
    if value is None or isinstance(value, Database):
        return value
    message = f"db is {described(value)}: use SqliteDb(…), PostgresDb(…) or InMemoryDb()."
    raise InvalidDefinition(message)


def when_orphaned(component: Component, adopt: Callable[[Component], None]) -> None:
    """Have a component offered to a registry once nobody else has it any more."""
    # References to an orphan may be cleared, and the fingerprint is made through one.
    definition_of(component).fingerprint  # noqa: B018  it is kept
    vars(component).setdefault(_ADOPTERS, []).append(adopt)


def weakly(method: Callable[[], JsonValue]) -> Callable[[], JsonValue]:
    """Return a component's method as a function that does not keep the component alive.

    A component that refers to itself is only found to be unused when Python looks for cycles.
    """
    reference = WeakMethod(method)

    def call() -> JsonValue:
        present = reference()
        if present is None:
            message = "The component of this definition is gone."
            raise ReferenceError(message)
        return present()

    return call


def refuse_declaration(fingerprint: str, component: Component) -> None:
    """Refuse a component under an id that another declaration had in this process.

    Raises:
        InvalidDefinition: the fingerprints differ.
    """
    if definition_of(component).fingerprint != fingerprint:
        raise _id_is_taken(component)


def refuse_other(existing: Component, component: Component) -> None:
    """Refuse a component under the id of another one that it cannot replace.

    Raises:
        InvalidDefinition: they are declared differently, or around other code.
    """
    before, after = definition_of(existing), definition_of(component)
    if before.fingerprint == after.fingerprint and is_same(before.code, after.code):
        return
    raise _id_is_taken(component)


def _id_is_taken(component: Component) -> InvalidDefinition:
    return InvalidDefinition(
        f"Two different components have the id {component.id!r}. Runs find their code by id, so "
        "give each its own: pass id= or another name=. Two of one declaration may share one, if "
        "their functions were made by the same lines, around the same values."
    )
