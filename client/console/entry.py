"""The pages that stand before and beside all others: sign-in, and what could not be shown."""

from dataclasses import dataclass

from kern.client.console.addresses import DESK, INBOX
from kern.client.console.problems import Problem

_PLACES = f"{DESK}/"


@dataclass(frozen=True)
class SignInView:
    """What the page of the sign-in shows.

    Attributes:
        sso_url: Where single sign-on begins; None without a provider.
        next_url: Where the visitor is going, a path of the console.
        has_token: Whether a personal token is taken.
        csrf: The token of the visitor's form.
        is_fresh: Whether they have signed in, and have to prove again who they are.
    """

    sso_url: str | None
    next_url: str = INBOX
    has_token: bool = True
    csrf: str = ""
    problem: Problem | None = None
    is_fresh: bool = False

    @property
    def sso_query(self) -> dict[str, str]:
        """What single sign-on has to know."""
        return {"next": self.next_url, **({"fresh": "1"} if self.is_fresh else {})}

    @property
    def destination(self) -> str:
        """Where the visitor is going, in words."""
        place = self.next_url.removeprefix(_PLACES).split("/")[0].split("?")[0]
        words = {
            "requirements": "a decision",
            "runs": "a run",
            "sessions": "a session",
            "stuck": "the stuck board",
            "audit": "the decision log",
        }
        return words.get(place, "")


def local_path(path: str | None) -> str:
    """Return a path of the console to continue at; the inbox for anything else.

    Nothing that a browser could read as another site is taken.
    """
    if path is None or not path.startswith(_PLACES):
        return INBOX
    is_plain = path.isascii() and path.isprintable() and "\\" not in path and "//" not in path
    return path if is_plain else INBOX
