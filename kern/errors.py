"""Every error that Kern raises at its callers.

    KernError
    ├── InvalidInput            a value that was given is refused; nothing was changed
    │   ├── InvalidDecision     a decision that does not fit its requirement
    │   └── InvalidDefinition   a component, tool or model that is declared wrongly
    ├── NotFound                no such run, requirement, session or component
    ├── NotAllowed              the person may not see, use or decide this
    ├── Conflict                the thing is in another state than the caller believes
    │   ├── AlreadyResolved     somebody decided first
    │   ├── ArgumentsChanged    what is submitted is not what was frozen
    │   ├── RunEnded            the run has ended and takes nothing more
    │   └── SessionBusy         another run of the session moves, and none was to be queued
    ├── Unavailable             a part that Kern stands on does not answer; try again later
    └── AuditBroken             the chain of decisions does not verify

Each has a stable `code` for programs, an `exit_code` for the CLI, an `http_status`, and
`retryable`: whether the same call may succeed later without anything being changed.
"""

from typing import ClassVar


class KernError(Exception):
    """The base of all errors that Kern raises on purpose."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


class InvalidInput(KernError):
    """A value is refused at the boundary; nothing was changed."""

    code = "invalid_input"
    exit_code = 2
    http_status = 422


class InvalidDecision(InvalidInput):
    """A decision does not fit the requirement it was made for."""

    code = "invalid_decision"


class InvalidDefinition(InvalidInput):
    """A component, tool or model is declared in a way that cannot work."""

    code = "invalid_definition"


class NotFound(KernError):
    """There is no run, requirement, session or component with the given id."""

    code = "not_found"
    exit_code = 3
    http_status = 404


class NotAllowed(KernError):
    """The person may not read, use or decide this."""

    code = "not_allowed"
    exit_code = 4
    http_status = 403


class Conflict(KernError):
    """The thing is in another state than the caller believes."""

    code = "conflict"
    exit_code = 5
    http_status = 409


class AlreadyResolved(Conflict):
    """Somebody decided first; the message says who, what and when."""

    code = "already_resolved"


class ArgumentsChanged(Conflict):
    """The arguments are not those that were frozen when the run paused."""

    code = "arguments_changed"


class RunEnded(Conflict):
    """The run has ended and takes nothing more."""

    code = "run_ended"


class SessionBusy(Conflict):
    """Another run of the session has not ended, and the caller asked not to wait for it."""

    code = "session_busy"
    retryable = True


class Unavailable(KernError):
    """A part that Kern stands on does not answer; the same call may succeed later."""

    code = "unavailable"
    exit_code = 6
    http_status = 503
    retryable = True


class AuditBroken(KernError):
    """The chain of decisions does not verify: a row was changed, removed or added by hand."""

    code = "audit_broken"
    exit_code = 8
    http_status = 500
