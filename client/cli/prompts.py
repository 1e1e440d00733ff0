"""Asks a person at a terminal for the decision that a requirement waits for."""

import os
import select
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from kern.client.cli.answers import field_value, json_or_text
from kern.client.cli.inbox import DIGEST_LENGTH, print_whole, short_digest
from kern.client.cli.printing import console, one_line, say, show_call, show_value, styled
from kern.client.cli.typed_confirmation import (
    drafted_value,
    submitted_confirmation,
    typed_value,
)
from kern.client.service.decision_checks import misfit
from kern.contracts.typed_values import value_to_type
from kern.errors import InvalidDecision
from kern.requirements import Requirement, UserInputField
from kern.tools import Tool
from kern.values.canonical import arguments_digest
from kern.values.states import RequirementKind, Verdict
from kern.values.visible_text import plain


def can_ask() -> bool:
    """Whether a person sits at both ends of this process."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@dataclass(frozen=True)
class Edits:
    """What an edit may be.

    Attributes:
        names: Which arguments it asks for; None for all.
        tool: The tool, where its code is at hand: what does not fit it is asked for again.
    """

    names: tuple[str, ...] | None = None
    tool: Tool | None = None


_ANY = Edits()
_PURPOSES = {Verdict.approve: "to approve", Verdict.run_again: "to run it again"}


def ask(item: Requirement, by: str, edits: Edits = _ANY) -> bool:
    """Ask for a decision and fill it in; False when the person leaves it open.

    Args:
        item: What waits.
        by: Who decides.
        edits: What an edit may be.
    """
    print_whole(item)
    while True:
        done = _ask_once(item, by, edits)
        if done is not None:
            return done


def print_edited(item: Requirement, changes: dict[str, JsonValue]) -> str:
    """Print a call as it runs after an edit, and return the digest of what was printed."""
    arguments = {**item.arguments, **changes}
    digest = arguments_digest(item.tool_name or "", arguments)
    say(f"  as edited  {show_call(item.tool_name, arguments)}", exact_blanks=True)
    say(f"  digest  {short_digest(digest)}")
    return digest


def confirm_display(item: Requirement, decision: str, *, as_json: bool) -> str | None:
    """Show a person the whole of what a command decides, and ask whether to do so.

    Return the digest of what they agreed with: of what was shown, or of a proposal that they name.
    None if they leave it open.

    Raises:
        InvalidDecision: nobody can be asked, so the command has to say what was shown.
    """
    if as_json or not can_ask():
        message = (
            f"This command showed nobody what requirement {item.id!r} lets happen: pass --digest "
            "with the first 8 characters or more of the digest that `kern pending` and `kern show` "
            "print beside the call. Nothing was decided."
        )
        raise InvalidDecision(message)
    print_whole(item)
    edit = item.draft.edit if item.draft is not None else None
    digest = item.digest if edit is None else print_edited(item, edit)
    proposals = [proposal.digest for proposal in item.proposals if edit is None]
    agreeing = ", the digest of a proposal = agree with it" if proposals else ""
    while True:
        answer = _choose(f"{decision}? y = yes{agreeing}, Enter = leave it open")
        if answer in {"", "n", "no", "s"}:
            return None
        if answer in {"y", "yes"}:
            return digest
        if len(answer) >= DIGEST_LENGTH:
            matches = [proposal for proposal in proposals if proposal.startswith(answer)]
            if matches:
                return matches[0]


def confirms(item: Requirement, digest: str, texts: Sequence[str], *, as_json: bool) -> bool:
    """Whether what lets a call run was typed for the decision that is filled in, or is typed now.

    Args:
        item: What is decided.
        digest: The beginning of the digest of the call that it is about.
        texts: What was typed on the command line.
        as_json: Whether nobody is asked.

    Raises:
        InvalidDecision: something else was typed, or nobody can be asked.
    """
    value = drafted_value(item, digest)
    if value is None or value in texts:
        return True
    if not texts and can_ask() and not as_json:
        return _types(value, item.draft.verdict if item.draft else Verdict.approve)
    if submitted_confirmation(item) is None:
        return True
    problem = (
        "and something else was typed. Nothing was decided."
        if texts
        else "and nothing was typed: have the person who decides type it, and pass it as "
        "--confirm. Nothing was decided."
    )
    message = f"Requirement {item.id!r} is confirmed by typing {value!r}, {problem}"
    raise InvalidDecision(message)


def _ask_once(item: Requirement, by: str, edits: Edits) -> bool | None:
    """Ask one time; None when the answer was no answer."""
    match item.kind:
        case RequirementKind.confirmation | RequirementKind.output_review:
            return _confirmation(item, by, edits)
        case RequirementKind.user_input:
            return _user_input(item, by)
        case RequirementKind.user_feedback:
            return _user_feedback(item, by)
        case RequirementKind.external_execution:
            return _external_execution(item, by)
        case RequirementKind.unknown_outcome:
            return _unknown_outcome(item, by)
        case RequirementKind.error:
            return _error(item, by)


def _confirmation(item: Requirement, by: str, edits: Edits) -> bool | None:
    action = "edit" if edits.names is None else f"edit the {' and '.join(edits.names)}"
    is_review = item.kind is RequirementKind.output_review
    again = ", d = do it again" if is_review else ""
    match _choose(f"a = approve, r = reject, e = {action}{again}, s = leave it open"):
        case "a" | "approve":
            if not _confirms(item, Verdict.approve):
                return False
            item.confirm(by=by, digest=item.digest)
        case "r" | "reject":
            item.reject(read_line("Why (Enter for no note): ") or None, by)
        case "e" | "edit":
            return _edit(item, by, edits)
        case "d" if is_review:
            item.run_again(read_line("What should be different (Enter for no note): ") or None, by)
        case "s" | "":
            return False
        case _:
            return None
    return True


def _confirms(item: Requirement, verdict: Verdict, edited: str | None = None) -> bool:
    """Have the person type what the author of a call asks for, or the tool of a risky one."""
    value = edited or typed_value(item, verdict)
    return value is None or _types(value, verdict)


def _types(value: str, verdict: Verdict) -> bool:
    purpose = _PURPOSES.get(verdict, "to decide so")
    while True:
        line = read_line(f"Type {plain(value)} {purpose} (Enter leaves it open): ")
        if line in {value, ""}:
            return line == value


def _edit(item: Requirement, by: str, edits: Edits) -> bool | None:
    while True:
        changes = _changes(item, edits)
        if not changes:
            say("Nothing was changed.")
            return None
        problem = edits.tool and misfit(edits.tool, {**item.arguments, **changes})
        if not problem:
            digest = print_edited(item, changes)
            edited = value_to_type(item, changes, None)
            if not _confirms(item, Verdict.approve, edited):
                return False
            item.edit(changes, by=by, digest=digest)
            return True
        say(styled(f"That does not fit: {one_line(problem)}.", "red"), " Enter changes nothing.")


def _changes(item: Requirement, edits: Edits) -> dict[str, JsonValue]:
    changes: dict[str, JsonValue] = {}
    for name in edits.names or tuple(item.arguments):
        old = item.arguments.get(name)
        text = read_line(f"{plain(name, '[]')} [{_default_text(old)}]: ")
        if text:
            changes[name] = text if isinstance(old, str) else json_or_text(text)
    return changes


def _user_input(item: Requirement, by: str) -> bool | None:
    values: dict[str, JsonValue] = {}
    for field in item.fields:
        text = read_line(f"{_asks_for(field)}: ")
        if text:
            values[field.name] = field_value(text, field)
    if not values or not _confirms(item, Verdict.answer):
        return False
    item.provide_user_input(values, by=by)
    return True


def _user_feedback(item: Requirement, by: str) -> bool | None:
    for number, choice in enumerate(item.choices, start=1):
        say(f"  {number}  {plain(choice)}", exact_blanks=True)
    several = "numbers with commas" if item.multiple else "number"
    text = read_line(f"Your choice ({several}, Enter to leave it open): ")
    if not text:
        return False
    picked = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= len(item.choices) for part in picked):
        return None
    if not _confirms(item, Verdict.choose):
        return False
    item.provide_user_feedback([item.choices[int(part) - 1] for part in picked], by=by)
    return True


def _external_execution(item: Requirement, by: str) -> bool:
    text = read_line("Its result, JSON or text (? = nobody knows, Enter to leave it open): ")
    if text == "?":
        why = read_line("Why does nobody know (Enter to leave it open): ")
        if why:
            item.mark_unknown(why, by)
        return bool(why)
    if text:
        item.set_external_execution_result(json_or_text(text), by=by)
    return bool(text)


def _error(item: Requirement, by: str) -> bool | None:
    match _choose("a = once more, k = go on without it, f = it has failed, s = leave it open"):
        case "a":
            return _run_again(item, by)
        case "k":
            item.skip(by=by)
        case answer:
            return _fail_or_leave(item, answer, by)
    return True


def _unknown_outcome(item: Requirement, by: str) -> bool | None:
    say("Only you can find out whether it happened.")
    match _choose("h = it happened, a = run it again, f = fail the run, s = leave it open"):
        case "h":
            item.mark_happened(json_or_text(read_line("What did it return? ")), by=by)
        case "a" if item.attempt is not None and item.attempt.is_executing:
            if (
                _choose("It is still executing. Execute it a second time beside it? (yes/no)")
                != "yes"
            ):
                return None
            return _run_again(item, by, even_if_running=True)
        case "a":
            return _run_again(item, by)
        case answer:
            return _fail_or_leave(item, answer, by)
    return True


def _run_again(item: Requirement, by: str, *, even_if_running: bool = False) -> bool:
    if not _confirms(item, Verdict.run_again):
        return False
    item.run_again(by=by, even_if_running=even_if_running)
    return True


def _fail_or_leave(item: Requirement, answer: str, by: str) -> bool | None:
    match answer:
        case "f":
            item.fail(read_line("Why (Enter for no note): ") or None, by)
        case "s" | "":
            return False
        case _:
            return None
    return True


def _asks_for(field: UserInputField) -> str:
    about = f" ({plain(field.description)})" if field.description else ""
    kind = "" if field.type == "string" else f" <{one_line(field.type)}>"
    optional = "" if field.required else f" [{_default_text(field.default)}]"
    if field.source is not None:
        # Suggested, and never taken by itself: an end of the input would decide.
        optional = f" (suggested: {_default_text(field.default)}. {plain(field.source, '()')})"
    return f"{plain(field.name, '<>()[]')}{kind}{about}{optional}"


def _default_text(value: JsonValue) -> str:
    """Return a text without quotes where nothing is special, and nobody takes it for JSON."""
    if isinstance(value, str) and json_or_text(value) == value:
        return plain(value, "[]")
    return show_value(value)


def _choose(text: str) -> str:
    return read_line(f"{text}: ").lower()


def read_line(question: str) -> str:
    """Read a line; the end of the input counts as an empty one."""
    console().print(question, end="", soft_wrap=True)
    sys.stdout.flush()
    _wait_for_line()
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        say("")
    return line.strip()


def _wait_for_line() -> None:
    """Wait until a line was typed, so that Ctrl-C always ends the wait.

    A signal may be taken by another thread, and then it interrupts no read of this one.
    """
    woken, waking = os.pipe()
    try:
        os.set_blocking(waking, False)
        before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        try:
            select.select([sys.stdin, woken], [], [])
        finally:
            signal.set_wakeup_fd(before)
    finally:
        os.close(woken)
        os.close(waking)
