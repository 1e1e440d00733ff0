"""What a person does about a decision besides making it: claim it, put it off, comment on it."""

from collections.abc import Callable, Sequence

from kern.client.cli.access import Connection
from kern.client.cli.printing import one_line, say, styled
from kern.client.cli.triage import moment_of
from kern.client.cli.walk.fields import Lines
from kern.client.cli.walk.keys import Verb
from kern.client.console.times import moment
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.process.clock import utc_now
from kern.requirements import Requirement
from kern.values.names import name_key

# For how long a key claims, as `kern claim` does.
_CLAIM_MINUTES = 30
_BACK = "off"
_LEAVE = "Escape leaves it"


def is_claimed_by(item: Requirement, person: str) -> bool:
    """Whether a person takes care of a requirement."""
    return item.claim is not None and name_key(item.claim.by) == name_key(person)


def labels_of(item: Requirement, person: str) -> Sequence[str]:
    """Return the names of the keys, as the last lines of a screen have them."""
    claim = "release" if is_claimed_by(item, person) else "claim"
    words = (("c", claim), ("s", "snooze"), ("m", "comment"))
    return [Verb.label_of(key, word) for key, word in words]


class Triage:
    """One person's claims, snoozes and comments.

    Args:
        connection: The service.
        person: Whom it asks.
        name: As whom they act.
    """

    def __init__(self, connection: Connection, person: Lines, name: str) -> None:
        self._connection = connection
        self._person = person
        self._name = name
        self._texts: dict[str, str] = {}

    def act(self, item: Requirement, key: str) -> str | None:
        """Do what a key asks for, and return it in a sentence; None if the person leaves it.

        Raises:
            KernError: it is refused; the message says why.
        """
        acts: dict[str, Callable[[Requirement], str | None]] = {
            "c": self._claim,
            "s": self._snooze,
            "m": self._comment,
        }
        return acts[key](item)

    def _claim(self, item: Requirement) -> str:
        viewer, name = present_operator(), self._name
        if is_claimed_by(item, name):
            self._connection.call(lambda service: service.triage.release(viewer, item.id, name))
            return "Nobody takes care of it now."
        self._connection.call(
            lambda service: service.triage.claim(viewer, item.id, name, minutes=_CLAIM_MINUTES)
        )
        return f"You take care of it for {_CLAIM_MINUTES} minutes. Whoever may decide it still may."

    def _snooze(self, item: Requirement) -> str | None:
        text = ""
        question = f"   For how long: 30m, 2h, 3d; {_BACK} has it back ({_LEAVE}): "
        while True:
            line = self._person.line(question, text)
            if line is None:
                return None
            text = line.strip()
            try:
                return self._snooze_until(item, text)
            except InvalidInput as error:
                say(styled(f"   {one_line(str(error))}", "red"))

    def _snooze_until(self, item: Requirement, text: str) -> str:
        viewer, name, now = present_operator(), self._name, utc_now()
        if text == _BACK:
            self._connection.call(lambda service: service.triage.wake(viewer, item.id, name))
            return "It is not put off for you."
        until = moment_of(text, now, "The time")
        snooze = self._connection.call(
            lambda service: service.triage.snooze(viewer, item.id, until, name)
        )
        return f"Put off for you until {moment(snooze.until, now)} UTC. It stays open."

    def _comment(self, item: Requirement) -> str | None:
        viewer, name = present_operator(), self._name
        question = f"   Comment, which people read ({_LEAVE}): "
        text = self._person.line(question, self._texts.get(item.id, ""))
        if text is None or not text.strip():
            return None
        # Kept until it is accepted, should it be refused.
        self._texts[item.id] = text
        words = text.strip()
        self._connection.call(lambda service: service.triage.comment(viewer, item.id, words, name))
        del self._texts[item.id]
        return "The comment is kept."
