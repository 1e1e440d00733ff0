"""Finds out what became of a call of unknown outcome, before a person is asked.

The tool's author may have said how: by a reconciler, which looks the call up by its idempotency key
where it has its effect. It is asked a few times, since what was sent a moment ago may not show yet.
Each answer is evidence: it stands in the requirement if a person has to be asked after all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pydantic import JsonValue

from kern.activities.tool_loop import Ended, Raised, Returned
from kern.activities.tool_result import error_text, result_text
from kern.process.foreign_errors import text_of
from kern.tools.reconciling import (
    DidNotHappen,
    Happened,
    Reconciled,
    Reconciler,
    StillUnknown,
    reconciled,
)
from kern.values.canonical import clean_text

_PAUSES: Sequence[float] = (1.0, 4.0, 15.0)
_LOOKUP_SECONDS = 10.0
# Of what it says, so much stands in a requirement.
_LONGEST = 4000

Call = Callable[[Callable[..., object], dict[str, object], float], Awaitable[Ended[object]]]


@dataclass(frozen=True)
class Findings:
    """What a reconciler found out; each of its answers is a line of `evidence`.

    `errors` is what it raised.
    """

    answer: Reconciled
    evidence: tuple[str, ...] = ()
    errors: tuple[BaseException, ...] = ()


async def ask(
    reconcile: Reconciler | None, key: str, arguments: dict[str, JsonValue], call: Call
) -> Findings:
    """Ask a reconciler until it knows, or has been asked often enough; `call` executes it."""
    if reconcile is None:
        return Findings(StillUnknown())
    evidence: list[str] = []
    errors: list[BaseException] = []
    look = partial(reconcile, key=key, arguments=dict(arguments))
    for pause in (*_PAUSES, None):
        ended = await call(look, {}, _LOOKUP_SECONDS)
        errors += [ended.error] if isinstance(ended, Raised) else []
        answer = _answer(ended)
        evidence.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {_sentence(answer)}")
        if not isinstance(answer, StillUnknown):
            return Findings(answer, tuple(evidence), tuple(errors))
        if pause is not None:
            await asyncio.sleep(pause)
    return Findings(StillUnknown(), tuple(evidence), tuple(errors))


def _answer(ended: Ended[object]) -> Reconciled:
    if isinstance(ended, Returned):
        return reconciled(ended.value)
    error = getattr(ended, "error", None)
    why = "it was not called" if error is None else error_text(error)
    return StillUnknown(why.replace("The tool", "The reconciler", 1))


def _sentence(answer: Reconciled) -> str:
    match answer:
        case Happened(result):
            return f"it has happened, with the result {result_text(result)[:_LONGEST]}"
        case DidNotHappen():
            return "it has not happened"
        case StillUnknown(why):
            text = clean_text(text_of(why))[:_LONGEST]
            return f"still unknown{f' ({text})' if text else ''}"
