"""A plain model of a requirement with votes, and the acts that a random history has."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from kern.values.states import OnExpiry

ENTITLED = ("ann", "bob", "cid")
SPELLINGS = {"ann": ("ann", "Ann ", "ANN"), "bob": ("bob", "Bob"), "cid": ("cid",)}
STRANGERS = ("eve", "Eve ", "mallory", "\u0430nn", "kern")
ORIGINAL = 80.0
AMOUNTS = (None, 60, 1)


@dataclass(frozen=True)
class Act:
    """One thing that somebody does, or that happens."""

    name: str
    by: str = ""
    amount: int | None = None


def acts() -> st.SearchStrategy[Act]:
    """Return the strategy of single acts: mostly votes."""
    people = st.sampled_from([name for names in SPELLINGS.values() for name in names])
    anybody = people | st.sampled_from(STRANGERS)
    approve = st.builds(Act, st.just("approve"), anybody, st.sampled_from(AMOUNTS))
    withdraw = st.builds(Act, st.just("withdraw"), anybody)
    reject = st.builds(Act, st.just("reject"), anybody)
    names = ("begin", "die", "expire", "retry", "give_back")
    happening = st.sampled_from([Act(name) for name in names])
    return st.one_of(approve, approve, withdraw, withdraw, happening, happening, reject)


@dataclass
class Model:
    """What a requirement, and the one after it, ought to be after each act.

    Attributes:
        votes: What each person would let happen; None are the arguments as they were asked.
        spoken: Who has decided anything.
        decided: "approve" or "reject" or "fail" once it is closed.
        amount: The amount that was approved.
        executions: The amounts of the calls that have begun.
        is_doubtful: Whether it is asked about an outcome that nobody knows.
        is_begun: Whether an attempt holds the call.
        was_tried: Whether the call has begun before, and is to be tried again.
    """

    quorum: int
    on_expiry: OnExpiry
    votes: dict[str, float | None] = field(default_factory=dict)
    spoken: set[str] = field(default_factory=set)
    decided: str | None = None
    amount: float = ORIGINAL
    executions: list[float] = field(default_factory=list)
    is_doubtful: bool = False
    is_begun: bool = False
    was_tried: bool = False

    def act(self, act: Act) -> bool:
        """Take an act; whether it is accepted."""
        happenings = {
            "begin": self._begin,
            "die": self._die,
            "expire": self._expire,
            "retry": self._retry,
            "give_back": self._give_back,
        }
        if act.name in happenings:
            return happenings[act.name]()
        person = next((name for name, forms in SPELLINGS.items() if act.by in forms), None)
        if person is None:
            return False
        match act.name:
            case "approve":
                return self._approve(person, None if self.is_doubtful else act.amount)
            case "withdraw":
                return self._withdraw(person)
            case _:
                return self._reject(person)

    def counts(self) -> dict[float, int]:
        """Return how many people would let the call happen with each amount."""
        counts: dict[float, int] = {}
        for amount in self.votes.values():
            key = self.amount if self.is_doubtful else _of(amount)
            counts[key] = counts.get(key, 0) + 1
        return counts

    def _approve(self, person: str, amount: float | None) -> bool:
        if self.decided is not None or self.votes.get(person, "nothing") == amount:
            return False
        self.votes[person] = amount
        self.spoken.add(person)
        if sum(vote == amount for vote in self.votes.values()) >= self.quorum:
            self.decided = "approve"
            if not self.is_doubtful:
                self.amount = _of(amount)
        return True

    def _reject(self, person: str) -> bool:
        if self.decided is not None:
            return False
        self.spoken.add(person)
        self.decided = "reject"
        return True

    def _withdraw(self, person: str) -> bool:
        is_late = self.decided is not None and (
            self.decided != "approve" or self.is_begun or self.was_tried
        )
        if person not in self.votes or is_late:
            return False
        del self.votes[person]
        self.decided = None
        if not self.is_doubtful:
            self.amount = ORIGINAL
        return True

    def _begin(self) -> bool:
        if self.decided != "approve" or self.is_begun:
            return False
        self.is_begun = True
        self.executions.append(self.amount)
        return True

    def _die(self) -> bool:
        if not self.is_begun:
            return False
        self.is_doubtful, self.is_begun, self.decided = True, False, None
        self.was_tried = False
        self.votes, self.spoken = {}, set()
        return True

    def _retry(self) -> bool:
        if not self.is_begun or self.is_doubtful:
            return False
        self.is_begun, self.was_tried = False, True
        return True

    def _give_back(self) -> bool:
        if not self.is_begun or self.is_doubtful:
            return False
        self.is_begun = False
        return True

    def _expire(self) -> bool:
        # The question for an outcome has no deadline.
        if self.decided is not None or self.is_doubtful:
            return False
        agreed = set(self.votes) == self.spoken and all(v is None for v in self.votes.values())
        self.decided = self.on_expiry.value
        if self.on_expiry is OnExpiry.approve and not agreed:
            self.decided = "reject"
        return True


def _of(amount: float | None) -> float:
    return ORIGINAL if amount is None else amount
