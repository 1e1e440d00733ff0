"""Asks for what a key leaves open: a note, a value, a typed confirmation; and fills it in."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import JsonValue

from kern.client.cli.answers import json_or_text
from kern.client.cli.printing import say, show_call, styled
from kern.client.cli.typed_confirmation import typed_value
from kern.client.cli.walk.fields import Form, Lines, print_fixed
from kern.client.cli.walk.keys import Action, editable_names
from kern.client.cli.walk.screen import comparison_of
from kern.client.console.editable_text import from_field, needs_escapes, to_field
from kern.contracts.typed_values import value_to_type
from kern.requirements import Requirement, RequirementKind, Verdict
from kern.values.canonical import arguments_digest
from kern.values.visible_text import plain

_LEAVE = "Escape leaves it open"
_OUTPUT = "output"
_SECRET = "(not shown)"  # noqa: S105  what stands for a secret


class Person(Lines, Protocol):
    """Who sits at the terminal."""

    def text(self, question: str, text: str) -> str | None:
        """Have a text edited; None if the person leaves it."""
        ...

    def agrees(self, question: str) -> bool:
        """Ask for a key that agrees; False for any other."""
        ...


class Dialogs:
    """The dialogs about one requirement. What was typed in them is kept until it is decided.

    Args:
        person: Whom they ask.
        item: What is decided.
        name: As whom.
        width: Returns how many columns there are.
    """

    def __init__(
        self, person: Person, item: Requirement, name: str, width: Callable[[], int]
    ) -> None:
        self._person = person
        self.item = item
        self._name = name
        self._width = width
        self._form = Form(person)
        self._texts: dict[str, str] = {}

    def decide(self, action: Action, key: str, problem: str = "") -> bool:
        """Fill in a decision; False if the person leaves it open.

        Args:
            action: What their key asked for.
            key: The key.
            problem: Why what they had filled in was refused.
        """
        is_review = self.item.kind is RequirementKind.output_review
        edit = self._edit_output if is_review else lambda: self._edit(problem)
        dialogs: dict[Action, Callable[[], bool]] = {
            "approve": self._approve,
            "edit": edit,
            "answer": lambda: self._answer(problem),
            "choose": lambda: self._choose(key),
            "result": lambda: self._result(action),
            "happened": lambda: self._result(action),
            "run_again": self._run_again,
        }
        dialog = dialogs.get(action, lambda: self._refuse(action))
        return dialog()

    def _approve(self) -> bool:
        if not self._confirms(Verdict.approve, "to approve"):
            return False
        self.item.confirm(by=self._name, digest=self.item.current_digest)
        return True

    def _edit(self, problem: str) -> bool:
        item, names = self.item, editable_names(self.item)
        print_fixed(item, names)
        values = self._form.edit(item, names, problem)
        if values is None:
            return False
        return self._agree_with_edit({**(item.current_arguments or item.arguments), **values})

    def _edit_output(self) -> bool:
        item = self.item
        before = (item.current_arguments or item.arguments).get(_OUTPUT)
        is_text = isinstance(before, str)
        start = to_field(before) if isinstance(before, str) else plain(str(before))
        if isinstance(before, str) and needs_escapes(before):
            say("   An escape such as \\u200b stands for a character that cannot be seen.")
        text = self._person.text("   output: ", self._texts.get(_OUTPUT, start))
        if text is None:
            return False
        self._texts[_OUTPUT] = text
        value = from_field(text, before) if isinstance(before, str) else json_or_text(text)
        if not is_text and isinstance(value, str):
            say(styled("   This is not valid JSON, as the output is.", "red"))
            return False
        return self._agree_with_edit({**item.arguments, _OUTPUT: value})

    def _agree_with_edit(self, arguments: dict[str, JsonValue]) -> bool:
        item = self.item
        changes = {
            name: value
            for name, value in arguments.items()
            if name not in item.arguments or item.arguments[name] != value
        }
        if arguments == (item.current_arguments or item.arguments):
            say("   Nothing was changed, and nothing was decided.")
            return False
        digest = arguments_digest(item.tool_name or "", arguments)
        for line in comparison_of(item, arguments, digest, self._width()):
            say(line, exact_blanks=True)
        if item.approvals and digest not in {each.digest for each in item.proposals}:
            say("   What others have approved so far does not count for this.")
        edited = value_to_type(item, arguments, None)
        if not self._confirms(
            Verdict.approve, "to approve it as edited", value=edited, needs_key=True
        ):
            return False
        if changes:
            item.edit(changes, by=self._name, digest=digest)
        else:
            item.confirm(by=self._name, digest=digest)
        return True

    def _answer(self, problem: str) -> bool:
        item = self.item
        values = self._form.fill_in(item, problem)
        if values is None:
            return False
        secrets = {field.name for field in item.fields if field.json_schema.get("writeOnly")}
        visible = {name: _SECRET if name in secrets else value for name, value in values.items()}
        say(f"   As answered: {show_call(item.tool_name, {**item.arguments, **visible})}",
            exact_blanks=True)  # fmt: skip
        if not self._confirms(Verdict.answer, "to answer so", needs_key=True):
            return False
        item.provide_user_input(values, by=self._name)
        return True

    def _choose(self, key: str) -> bool:
        item = self.item
        if len(item.choices) > 9 or item.multiple:  # noqa: PLR2004  so many have a key
            how = "numbers with commas" if item.multiple else "a number"
            return self._choose_by_line(f"   Choose, {how} ({_LEAVE}): ", key)
        if int(key) > len(item.choices):
            say(f"   There is no choice {key}.")
            return False
        if not self._confirms(Verdict.choose, f"to choose {plain(item.choices[int(key) - 1])}"):
            return False
        item.provide_user_feedback([item.choices[int(key) - 1]], by=self._name)
        return True

    def _choose_by_line(self, question: str, text: str) -> bool:
        item = self.item
        while True:
            line = self._person.line(question, text)
            if line is None:
                return False
            text = line
            numbers = [part.strip() for part in text.split(",") if part.strip()]
            choices = _numbered(item.choices, numbers)
            if choices and (item.multiple or len(choices) == 1):
                if not self._confirms(Verdict.choose, "to choose so"):
                    return False
                item.provide_user_feedback(choices, by=self._name)
                return True
            say(styled(f"   Use numbers from 1 to {len(item.choices)}.", "red"))

    def _result(self, action: Action) -> bool:
        item = self.item
        if action == "happened":
            say("   Only you can find out whether it happened: look where its effect would be.")
        text = self._line("result", f"   Its result, JSON or text ({_LEAVE}): ")
        if text is None:
            return False
        value = json_or_text(text)
        if action == "happened":
            note = self._line("note", f"   What did you check ({_LEAVE}): ")
            if note is None:
                return False
            item.mark_happened(value, note, by=self._name)
        else:
            item.set_external_execution_result(value, by=self._name)
        return True

    def _run_again(self) -> bool:
        item = self.item
        is_executing = item.attempt is not None and item.attempt.is_executing
        if is_executing:
            say(styled("   It is still executing: both would go on side by side.", "red"))
        if not self._confirms(Verdict.run_again, "to run it again", needs_key=True):
            return False
        item.run_again(by=self._name, even_if_running=is_executing)
        return True

    def _refuse(self, action: Action) -> bool:
        item = self.item
        questions: dict[Action, str] = {
            "reject": "Why is it rejected",
            "send_back": "What should be different",
            "unknown": "Why does nobody know",
            "fail": "Why does it fail",
            "skip": "Why is it skipped",
        }
        is_unknown = item.kind is RequirementKind.unknown_outcome
        question = "What did you check" if is_unknown else questions[action]
        is_needed = is_unknown or action in {"reject", "send_back", "unknown"}
        text = self._line("note", f"   {question} ({_LEAVE}): ", is_needed=is_needed)
        if text is None:
            return False
        note = text or None
        fill_in: dict[Action, Callable[[], Requirement]] = {
            "reject": lambda: item.reject(note, self._name),
            "send_back": lambda: item.run_again(note, self._name),
            "unknown": lambda: item.mark_unknown(text, self._name),
            "fail": lambda: item.fail(note, self._name),
            "skip": lambda: item.skip(note, self._name),
        }
        fill_in[action]()
        return True

    def _line(self, name: str, question: str, *, is_needed: bool = True) -> str | None:
        """Ask for a line, again while it is needed and empty, and keep what was typed."""
        while True:
            text = self._person.line(question, self._texts.get(name, ""))
            if text is None:
                return None
            self._texts[name] = text
            if text.strip() or not is_needed:
                return text.strip()
            say(styled("   It is needed: the log and the agent get it.", "red"))

    def _confirms(
        self, verdict: Verdict, purpose: str, *, value: str | None = None, needs_key: bool = False
    ) -> bool:
        """Have the person type what the author asks for; else a key is enough, or none."""
        value = value or typed_value(self.item, verdict)
        if value is None:
            return not needs_key or self._person.agrees(f"   y {purpose}, any other key leaves it")
        text, question = "", f"   Type {to_field(value)} {purpose} ({_LEAVE}): "
        while True:
            line = self._person.line(question, text)
            if line is None:
                return False
            text = line.strip()
            if from_field(text, value) == value:
                return True
            say(styled(f"   That is not {to_field(value)}.", "red"))


def _numbered(choices: Sequence[str], numbers: Sequence[str]) -> list[str]:
    """Return the choices with these numbers; none if one of them is no number of a choice."""
    if not all(part.isdecimal() and 1 <= int(part) <= len(choices) for part in numbers):
        return []
    return [choices[int(part) - 1] for part in dict.fromkeys(numbers)]
