"""The keys of the walk: which of them decide, for each kind of requirement."""

from dataclasses import dataclass
from typing import Literal

from kern.requirements import Requirement, RequirementKind

Action = Literal[
    "approve",
    "reject",
    "edit",
    "answer",
    "choose",
    "result",
    "unknown",
    "send_back",
    "fail",
    "run_again",
    "skip",
    "happened",
]

# They change who is asked and when, and decide nothing.
TRIAGE_KEYS = frozenset({"c", "s", "m"})
HELP = (
    "The keys do what the last lines of a screen say. A key that decides is heard once the screen",
    "has settled: what is typed ahead or pasted decides nothing.",
    "n, j: next   k, p: previous   u: the list   w: why   o: the run   q: quit   Ctrl-C: quit",
    "c: claim it for 30 minutes, or give it back   s: snooze, so that it waits for you later",
    "m: comment on it. Neither decides anything, nor keeps anybody else from deciding.",
    "Space: more, where a decision is longer than the screen. It can be decided at its end.",
    "While something is typed, Escape leaves it and decides nothing.",
)


@dataclass(frozen=True)
class Verb:
    """A key that decides, and how it is named.

    Attributes:
        key: The character.
        word: What it does.
        action: What is asked next and filled in.
    """

    key: str
    word: str
    action: Action

    @property
    def label(self) -> str:
        """The verb with its key in brackets, such as `[a]pprove`."""
        return self.label_of(self.key, self.word)

    @staticmethod
    def label_of(key: str, word: str) -> str:
        """Return a word with a key in brackets: within it if it begins so."""
        return f"[{key}]{word[1:]}" if word.startswith(key) else f"[{key}] {word}"


_VERBS: dict[RequirementKind, tuple[Verb, ...]] = {
    RequirementKind.confirmation: (
        Verb("a", "approve", "approve"),
        Verb("r", "reject", "reject"),
        Verb("e", "edit", "edit"),
    ),
    RequirementKind.user_input: (
        Verb("a", "answer", "answer"),
        Verb("r", "reject", "reject"),
    ),
    RequirementKind.user_feedback: (
        Verb("1", "to 9: choose", "choose"),
        Verb("r", "reject: none of these", "reject"),
    ),
    RequirementKind.external_execution: (
        Verb("a", "answer with its result", "result"),
        Verb("x", "nobody knows", "unknown"),
        Verb("r", "reject", "reject"),
    ),
    RequirementKind.output_review: (
        Verb("a", "approve", "approve"),
        Verb("e", "edit", "edit"),
        Verb("b", "back: do it again", "send_back"),
        Verb("r", "reject", "reject"),
        Verb("f", "fail", "fail"),
    ),
    RequirementKind.error: (
        Verb("a", "again", "run_again"),
        Verb("g", "go on without it", "skip"),
        Verb("f", "fail", "fail"),
    ),
    RequirementKind.unknown_outcome: (
        Verb("h", "happened", "happened"),
        Verb("a", "again", "run_again"),
        Verb("d", "don't run it again", "reject"),
        Verb("f", "fail the run", "fail"),
    ),
}


def verbs_of(item: Requirement) -> tuple[Verb, ...]:
    """Return the keys that decide a requirement."""
    verbs = _VERBS[item.kind]
    is_fixed = item.kind is RequirementKind.confirmation and not editable_names(item)
    return tuple(verb for verb in verbs if not (is_fixed and verb.action == "edit"))


def verb_for(item: Requirement, key: str) -> Verb | None:
    """Return what a key decides about a requirement; None if it decides nothing."""
    if item.kind is RequirementKind.user_feedback and key.isdecimal() and key != "0":
        key = "1"
    return next((verb for verb in verbs_of(item) if verb.key == key), None)


def editable_names(item: Requirement) -> list[str]:
    """Return the arguments that an edit may change."""
    return [name for name in item.arguments if item.bounds is None or name in item.bounds]
