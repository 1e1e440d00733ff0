"""Who looks at a run or acts on it."""

import getpass
from dataclasses import dataclass

from kern.errors import NotAllowed


@dataclass(frozen=True)
class Viewer:
    """A user of the product, who reaches their own sessions; no `user_id` is a user like any other.

    An operator of the installation reaches all sessions, as whoever holds the database's
    credentials does.
    """

    user_id: str | None = None
    is_operator: bool = False

    def check(self, what: str, owner: str | None) -> None:
        """Refuse what belongs to somebody else.

        Raises:
            NotAllowed: the owner is another one.
        """
        if self.is_operator or self.user_id == owner:
            return
        asked = (
            "no user_id was given"
            if self.user_id is None
            else f"user_id={self.user_id!r} was given"
        )
        message = (
            f"{what} belongs to another user: {asked}. Pass the user_id with which the session was "
            "begun."
        )
        raise NotAllowed(message)


OPERATOR = Viewer(is_operator=True)


def system_user() -> str:
    """Return the name of the user of this machine who runs the process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
