"""The page of the errors: what Kern raises, and what to do about it."""

import inspect

from kern import errors
from kern.errors import KernError
from tests.support.reference.markdown import summary, table

_ADVICE = {
    "KernError": "Catch it to catch all of them.",
    "InvalidInput": "Correct the value that the message names.",
    "InvalidDecision": "Decide again, as the message says; the requirement is still open.",
    "MixedShapes": "Send those of one `shape` together.",
    "HighRisk": "Decide each of them by itself.",
    "KeyReused": "Use a new key for what is new.",
    "InvalidDefinition": "Correct the declaration: the message names the component and the option.",
    "NotFound": "Look at the id, and at `KERN_HOME` and `KERN_DATABASE_URL`: a run of another "
    "database is not here.",
    "Unauthenticated": "Call with a valid token, or sign in again.",
    "NotAllowed": "Pass the `user_id` that owns the session, or have somebody entitled decide.",
    "Conflict": "Read the run again before you repeat the call.",
    "AlreadyResolved": "Nothing: the first decision stands, and the run continues with it.",
    "AlreadyDecided": "Nothing: it counts already. To take it back, withdraw.",
    "CallStarted": "Wait for the call's end; what it did has to be undone elsewhere.",
    "Claimed": "Wait until then, or ask whoever takes care of it. You may still decide.",
    "ArgumentsChanged": "Read the requirement again, and decide on what it shows now.",
    "RunEnded": "Start a new run, or `retry_run` one that failed.",
    "StillRunning": "Wait for the call's end, which answers the question, or pass "
    "`even_if_running=True`.",
    "SessionBusy": 'Try again when the session\'s run has ended, or pass `on_busy="queue"`.',
    "NotMigrated": "Run `kern migrate`: [Upgrade](../how-to/upgrading.md) says when.",
    "Unavailable": "Do as the message says: it names what was kept. `kern doctor` names the part.",
    "DatabaseFailure": "Mend what the message names; runs continue by themselves afterwards.",
    "OutcomeUnknown": "Raise it in a tool of your own; the run then asks what happened.",
    "AuditBroken": "Find out who wrote to the database: the message names the first bad row.",
}
_INTRODUCTION = """\
# Errors

Everything that Kern raises on purpose derives from `KernError`, in `kern.errors`. `code` is stable
and meant for programs. `kern` ends with the exit code. An error that can be retried may succeed
later without any change on your side.
"""
_RUNS = """
A run that fails raises nothing: its `status` is `error` and its `error` has a code and a message.
The [command line](cli.md#kern) lists the exit codes that say where a run stands.
"""


def page() -> str:
    """Return the page."""
    rows = [
        (
            f"`{error.__name__}`",
            f"`{error.code}`",
            str(error.exit_code),
            str(error.http_status),
            "yes" if error.retryable else "no",
            f"{summary(error)} {_ADVICE[error.__name__]}",
        )
        for error in vars(errors).values()
        if inspect.isclass(error) and issubclass(error, KernError)
    ]
    headings = ("Error", "Code", "Exit code", "HTTP status", "Retry", "Meaning, and what to do")
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return (
        f"{_INTRODUCTION}\n```text\n{inspect.cleandoc(tree)}\n```\n\n{table(headings, rows)}{_RUNS}"
    )
