"""Who looks at a run or acts on it."""

import getpass
from dataclasses import dataclass

from kern.errors import InvalidInput, NotAllowed
from kern.values.ids import require_id
from kern.values.principals import Principal


@dataclass(frozen=True)
class Viewer:
    """A user of the product, who reaches their own sessions; no `user_id` is a user like any other.

    An operator of the installation reaches all sessions, as whoever holds the database's
    credentials does. With a `component_id`, only what belongs to that component is reached. A
    `principal` is who was authenticated: it decides, whatever name a decision was filled in with.

    Raises:
        InvalidInput: `user_id` is empty, which is neither a user nor none, or can be no id.
    """

    user_id: str | None = None
    is_operator: bool = False
    component_id: str | None = None
    principal: Principal | None = None

    def __post_init__(self) -> None:
        if self.user_id is not None:
            require_id("user_id", self.user_id)

    def check(self, subject: str, owner: str | None, component_id: str | None = None) -> None:
        """Refuse what belongs to somebody else, or to another component.

        Raises:
            NotAllowed: the owner is another one.
            InvalidInput: the component is another one.
        """
        if not self.is_operator and self.user_id != owner:
            raise NotAllowed(self._not_yours(subject))
        if self.component_id is None or component_id in (None, self.component_id):
            return
        message = (
            f"{subject} belongs to the component {component_id!r}, not to {self.component_id!r}: "
            "use that one. A component without id= or name= gets another id whenever its "
            "declaration changes."
        )
        raise InvalidInput(message)

    def _not_yours(self, subject: str) -> str:
        identity = (
            "no user_id was given"
            if self.user_id is None
            else f"user_id={self.user_id!r} was given"
        )
        return (
            f"{subject} belongs to another user: {identity}. Pass the user_id with which the "
            "session was begun."
        )


OPERATOR = Viewer(is_operator=True)


def system_user() -> str:
    """Return the name of the user of this machine who runs the process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
