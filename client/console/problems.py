"""What a page says when something was refused: what happened, what changed, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from kern.errors import KernError

BoxStyle = Literal["", "warn", "stop", "good", "note"]


class Refusal(Protocol):
    """A refusal with a code of its own, which no error of Kern's has."""

    code: str
    status: int
    detail: str


@dataclass(frozen=True)
class Problem:
    """A box that says what went wrong.

    Attributes:
        title: What happened.
        text: What changed, usually nothing, and what to do.
        status: The HTTP status.
        code: The stable code, the same as in the API.
        style: How serious it is.
        link: Where to go from here; None for nowhere.
        link_text: What is there.
    """

    title: str
    text: str
    status: int
    code: str
    style: BoxStyle = ""
    link: str | None = None
    link_text: str = ""


# By the code: the title, what to do, and how serious it is.
_TEXTS: Mapping[str, tuple[str, str, BoxStyle]] = {
    "arguments_changed": ("The arguments changed after you opened this page", "", "stop"),
    "already_resolved": ("Somebody decided first", "", "warn"),
    "not_allowed": ("You cannot decide this one", "", "warn"),
    "excluded": ("You cannot decide this one", "", "warn"),
    "person_required": ("Only a person can decide this", "", "warn"),
    "unauthenticated": (
        "Your session has ended",
        "Nothing was decided. Sign in and send it again.",
        "warn",
    ),
    "stale_form": (
        "This page was loaded before you signed in",
        "Nothing was decided. Reload, review, and send again.",
        "warn",
    ),
    "fresh_sign_in_required": (
        "This decision needs a fresh sign-in",
        "Nothing was decided. Sign in again and send it again.",
        "warn",
    ),
    "not_found": (
        "There is nothing at this address",
        (
            "Its session may have been deleted; its decisions stay in the audit log. If you "
            "followed a link, it may belong to another tenant."
        ),
        "",
    ),
    "already_decided_by_you": ("You have decided so already", "It waits for others.", "warn"),
    "expired": ("This closed at its deadline", "", ""),
    "cancelled": ("This was cancelled with its run", "", ""),
    "claimed": ("Somebody else has claimed this", "", "warn"),
    "call_started": ("The call has started", "It can no longer be withdrawn.", "warn"),
    "run_ended": ("The run has ended", "", "warn"),
    "invalid_decision": ("This decision does not fit", "", "stop"),
    "invalid_input": ("Something needs fixing. Nothing was sent.", "", "stop"),
    "out_of_bounds": ("The edit is outside what the tool allows", "", "stop"),
    "confirmation_mismatch": (
        "What you typed does not match",
        "Nothing was decided. Type the value that the page shows.",
        "stop",
    ),
    "mixed_shapes": ("These are not look-alikes", "Nothing was decided.", "stop"),
    "high_risk": ("This has to be decided on its own page", "Nothing was decided.", "stop"),
    "too_many": (
        "That was too many decisions in a minute",
        "Nothing was decided. Wait a minute and send it again.",
        "warn",
    ),
    "unavailable": (
        "The database does not answer",
        "Nothing was changed. Send it again: it counts once, however often it arrives.",
        "stop",
    ),
}
_DEFAULT = (
    "Kern could not do this",
    "Nothing was changed as far as is known. Reload the page to see how things stand.",
)


def problem_of(error: KernError | Refusal) -> Problem:
    """Return what a page says of an error of Kern's, or of another refusal."""
    if isinstance(error, KernError):
        return problem(error.code, error.http_status, str(error))
    return problem(error.code, error.status, error.detail)


def problem(
    code: str,
    status: int,
    detail: str = "",
    *,
    link: str | None = None,
    link_text: str = "",
) -> Problem:
    """Return what a page says of a code; `detail` is the sentence that belongs to this case."""
    title, text, style = _TEXTS.get(code, (*_DEFAULT, "stop"))
    return Problem(title, detail or text or _DEFAULT[1], status, code, style, link, link_text)
