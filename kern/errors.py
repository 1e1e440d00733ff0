"""The errors that Kern raises.

                              code                exit  HTTP  retryable
    KernError                 error                  1   500
    ├── InvalidInput          invalid_input          2   422
    │   ├── InvalidDecision   invalid_decision       2   422
    │   │   ├── MixedShapes   mixed_shapes           2   422
    │   │   └── HighRisk      high_risk              2   422
    │   ├── KeyReused         idempotency_key_reused 2   422
    │   └── InvalidDefinition invalid_definition     2   422
    ├── NotFound              not_found              3   404
    ├── NotAllowed            not_allowed            4   403
    ├── Unauthenticated       unauthenticated        4   401
    ├── Conflict              conflict               5   409
    │   ├── AlreadyResolved   already_resolved       5   409
    │   │   ├── AlreadyDecided already_decided_by_you 5  409
    │   │   └── CallStarted   call_started           5   409
    │   ├── Claimed           claimed                5   409
    │   ├── ArgumentsChanged  arguments_changed      5   409
    │   ├── RunEnded          run_ended              5   409
    │   ├── StillRunning      still_running          5   409
    │   ├── SessionBusy       session_busy           5   409  yes
    │   └── NotMigrated       not_migrated           5   409
    ├── Unavailable           unavailable            6   503  yes
    ├── DatabaseFailure       database_failure       1   500
    ├── AuditBroken           audit_broken           8   500
    └── OutcomeUnknown        outcome_unknown        1   500

`code` is stable, for programs; `exit_code` is the CLI's; `retryable` says whether the same call may
succeed later although nobody changes it. The exit codes 7 and 10 stand for runs: failed and paused.
"""

from typing import ClassVar


class KernError(Exception):
    """The base of all errors that Kern raises on purpose.

    Attributes:
        run_id: The run that was or may have been accepted, where the error came after or during
            that; the message says which.
    """

    run_id: str | None = None
    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


class InvalidInput(KernError):
    """A value is refused; nothing was changed."""

    code = "invalid_input"
    exit_code = 2
    http_status = 422


class InvalidDecision(InvalidInput):
    """A decision does not fit its requirement."""

    code = "invalid_decision"


class MixedShapes(InvalidDecision):
    """What is decided together does not look alike."""

    code = "mixed_shapes"


class HighRisk(InvalidDecision):
    """What is of high risk is decided by itself, and never together with others."""

    code = "high_risk"


class KeyReused(InvalidInput):
    """An idempotency key belongs to something else that was sent before."""

    code = "idempotency_key_reused"


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


class Unauthenticated(KernError):
    """Nobody knows who calls: the token or the session is missing, unknown, expired or revoked."""

    code = "unauthenticated"
    exit_code = 4
    http_status = 401


class Conflict(KernError):
    """The object is in another state than the caller assumes."""

    code = "conflict"
    exit_code = 5
    http_status = 409


class AlreadyResolved(Conflict):
    """Somebody else decided first; the message says who, what and when."""

    code = "already_resolved"


class AlreadyDecided(AlreadyResolved):
    """The same person has decided exactly so already; the requirement waits for others."""

    code = "already_decided_by_you"


class CallStarted(AlreadyResolved):
    """The call that was approved has begun, so the approval cannot be withdrawn any more."""

    code = "call_started"


class Claimed(Conflict):
    """Somebody else takes care of the requirement; the message says who, and until when."""

    code = "claimed"


class ArgumentsChanged(Conflict):
    """The arguments are not those that were frozen when the run paused."""

    code = "arguments_changed"


class RunEnded(Conflict):
    """The run has ended and accepts nothing more."""

    code = "run_ended"


class StillRunning(Conflict):
    """The call is known to be executing, and would be executed twice at once."""

    code = "still_running"


class SessionBusy(Conflict):
    """Another run of the session has not ended, and the caller asked not to wait for it."""

    code = "session_busy"
    retryable = True


class NotMigrated(Conflict):
    """The database has no tables, or older ones, and `kern migrate` has to be run first."""

    code = "not_migrated"


class Unavailable(KernError):
    """A service that Kern needs does not answer; the message says what was kept nevertheless."""

    code = "unavailable"
    exit_code = 6
    http_status = 503
    retryable = True


class DatabaseFailure(KernError):
    """The database answers with an error that does not pass by itself; somebody has to mend it."""

    code = "database_failure"


class AuditBroken(KernError):
    """The log of decisions does not verify: a row was changed, removed or added by hand."""

    code = "audit_broken"
    exit_code = 8
    http_status = 500


class OutcomeUnknown(KernError):
    """Raised by a tool or step that does not know whether what it was to do has happened.

    A call whose effect is `once` is then neither done nor failed: its reconciler, or a person, is
    asked, and until then it is not executed again.
    """

    code = "outcome_unknown"
