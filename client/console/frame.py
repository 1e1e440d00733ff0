"""The frame of every page: who looks, what waits, when, and how it looks."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kern.client.console.addresses import FEED


class Place(StrEnum):
    """A place in the header."""

    inbox = "inbox"
    runs = "runs"
    sessions = "sessions"
    stuck = "stuck"
    audit = "audit"


class Theme(StrEnum):
    """How a page looks, as the cookie `desk_theme` says."""

    auto = "auto"
    light = "light"
    dark = "dark"


@dataclass(frozen=True)
class Person:
    """Who looks at a page.

    Attributes:
        name: The name that people know them by.
        subject: Their id where they signed in.
        method: How they signed in, such as `single sign-on`.
        since: When they signed in.
    """

    name: str
    subject: str
    groups: tuple[str, ...] = ()
    tenant: str = ""
    method: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Frame:
    """What every page shows around its content.

    Attributes:
        now: The server's clock, in UTC: from it all relative times are computed.
        person: Who looks; None before sign-in.
        csrf: The token that every form carries.
        inbox_count: How many decisions wait for the person; None where nobody has counted.
        stuck_count: How many things are stuck.
        feed_url: The address of the live feed; None for none.
        is_local: Whether anybody on this machine may look, unauthenticated.
        is_fragment: Whether only the content is rendered, for htmx (`HX-Request-Type: partial`).
    """

    now: datetime
    person: Person | None = None
    csrf: str = ""
    theme: Theme = Theme.auto
    inbox_count: int | None = None
    stuck_count: int | None = None
    feed_url: str | None = FEED
    is_local: bool = False
    is_fragment: bool = False

    @property
    def layout(self) -> str:
        """The template that holds the content."""
        return "fragment.html" if self.is_fragment else "base.html"


def theme_of(cookie: str | None) -> Theme:
    """Return the theme that a cookie names; that of the system if it names none."""
    return Theme(cookie) if cookie in set(Theme) else Theme.auto
