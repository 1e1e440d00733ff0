"""The addresses of the console's pages. They hold ids, and no text of models."""

from urllib.parse import urlencode

# Where a server mounts the console.
DESK = "/desk"
INBOX = f"{DESK}/inbox"
RUNS = f"{DESK}/runs"
SESSIONS = f"{DESK}/sessions"
DELIVERIES = f"{DESK}/deliveries"
AUDIT = f"{DESK}/audit"
SIGN_IN = f"{DESK}/signin"
FEED = f"{DESK}/feed"
STATIC = f"{DESK}/static/"


def requirement_url(requirement_id: str) -> str:
    """Return the address of a decision."""
    return f"{DESK}/requirements/{requirement_id}"


def run_url(run_id: str) -> str:
    """Return the address of a run."""
    return f"{RUNS}/{run_id}"


def session_url(session_id: str) -> str:
    """Return the address of a session."""
    return f"{SESSIONS}/{session_id}"


def link_url(secret: str) -> str:
    """Return the address that signs somebody in once."""
    return f"{DESK}/link/{secret}"


def with_query(path: str, /, **query: str) -> str:
    """Return an address with a query, without the parameters that are empty."""
    filled = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(filled)}" if filled else path
