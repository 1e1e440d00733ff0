"""Sessions as they are documented, in plain Python: what the property tests compare Kern with."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

ENDED = ("completed", "cancelled", "error")
REJECTED, CANCELLED, HAPPENED = "rejected", "cancelled", "it happened"

# An operation (set, increment or append), its key and its value.
Change = tuple[str, str, object]


class Said(NamedTuple):
    """One message as a model sees it."""

    role: str
    content: str
    calls: tuple[str, ...] = ()
    answers: str | None = None


@dataclass
class Ask:
    """What a call waits for from people: approval, or word of what became of it."""

    id: str
    amount: int
    quorum: int = 1
    due: int | None = None
    on_expiry: str = "reject"
    is_doubt: bool = False
    status: str = "pending"
    approvals: dict[str, int | None] = field(default_factory=dict)


@dataclass(eq=False)
class Call:
    """A tool call. `holder` is the attempt that may write its end."""

    id: str
    name: str
    amount: int
    effect: str
    run: "Run"
    asks: list[Ask] = field(default_factory=list)
    status: str = "waiting"
    holder: str | None = None
    attempts: int = 0
    result: str = ""

    @property
    def ask(self) -> Ask | None:
        return next((ask for ask in self.asks if ask.status == "pending"), None)

    @property
    def may_begin(self) -> bool:
        return self.status == "waiting" and self.ask is None and not self.run.has_ended

    def end(self, result: str) -> None:
        self.status, self.result = "done", result


@dataclass
class Turn:
    content: str
    calls: list[Call]
    correction: str | None = None

    def said(self) -> list[Said]:
        messages = [Said("assistant", self.content, tuple(call.name for call in self.calls))]
        done = [call for call in self.calls if call.status == "done"]
        messages += [Said("tool", call.result, (), call.name) for call in done]
        if self.correction is not None:
            messages.append(Said("user", self.correction))
        return messages


@dataclass(eq=False)
class Run:
    """A run. `owed` is what Temporal has to be told, `told` the events of where it stands."""

    session: "ModelSession"
    id: str
    number: int
    input: str
    is_queued: bool = False
    is_copy: bool = False
    status: str = "pending"
    content: str | None = None
    turn: int = 0
    turns: list[Turn] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    owed: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    working: int = 0
    waiting: int = 0
    counted: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def moves(self) -> bool:
        return self.status in {"pending", "running"}

    @property
    def may_answer(self) -> bool:
        """Whether its model may be asked: it has its place, and waits for no call."""
        return not self.is_queued and not self.has_ended and not self.open_calls()

    @property
    def ended_early(self) -> bool:
        """Whether a model that was asked before may still answer."""
        return self.status in {"cancelled", "error"} and not self.open_calls() and bool(self.turns)

    def open_calls(self) -> list[Call]:
        return [call for call in self.calls() if call.status != "done"]

    def calls(self) -> list[Call]:
        return [call for turn in self.turns for call in turn.calls]

    def said(self) -> list[Said]:
        return [Said("user", self.input), *(one for turn in self.turns for one in turn.said())]

    def answer(self, turn: Turn, tokens: int, now: int, *, fails: bool = False) -> None:
        """Take a model's answer; that of a run which has ended meanwhile is only paid for."""
        self.turn += 1
        self.model_calls, self.tokens = self.model_calls + 1, self.tokens + tokens
        if self.has_ended:
            return
        self.turns.append(turn)
        if self.counted is None:
            self.counted = now
        if fails:
            self.end("error", now)
        elif turn.calls or turn.correction is not None:
            self.stand(now)
        else:
            self.content = turn.content
            self.end("completed", now)

    def stand(self, now: int) -> None:
        """Go on, or stand still when nothing is left but what people have to decide."""
        if self.has_ended:
            return
        left = self.open_calls()
        status = "paused" if left and all(call.ask for call in left) else "running"
        if status == self.status:
            return
        goes_on = "run_continued" if self.status == "paused" else "run_began"
        self.told.append("run_paused" if status == "paused" else goes_on)
        if self.counted is None:
            self.counted = now
        self.pass_time(now)
        self.status = status
        self.session.release()

    def end(self, status: str, now: int) -> None:
        """End, close what people were asked, and never make the calls that have not begun."""
        self.pass_time(now)
        self.status, self.is_queued, self.owed = status, False, []
        for call in self.open_calls():
            if call.ask is not None:
                call.ask.status = "cancelled"
            if call.status == "waiting":
                call.end(CANCELLED)
        self.told.append("run_failed" if status == "error" else f"run_{status}")
        self.session.release()

    def cancel(self, now: int) -> bool:
        if self.has_ended:
            return False
        self.end("cancelled", now)
        self.owed.append(("cancel", None))
        return True

    def pass_time(self, now: int) -> None:
        if self.counted is None or self.has_ended:
            return
        if self.status == "paused":
            self.waiting += now - self.counted
        else:
            self.working += now - self.counted
        self.counted = now

    def begin(self, call: Call, token: str, now: int, gate: str | None) -> tuple[object, ...]:
        """Say whether an attempt may execute a call; `gate` is the id of a question it opens."""
        if self.has_ended:
            return ("ended",)
        if call.status == "done":
            return ("settled", None)
        if call.ask is not None:
            return ("settled", call.ask.id)
        if call.status == "running" and call.holder != token and call.effect == "once":
            assert gate is not None, "a call that may have happened was handed out again"
            quorum = call.asks[0].quorum if call.asks else 1
            call.asks.append(Ask(gate, call.amount, quorum, is_doubt=True))
            call.status = "unknown"
            self.stand(now)
            return ("settled", gate)
        call.attempts += call.holder != token
        call.status, call.holder = "running", token
        self.stand(now)
        return ("execute", call.attempts, call.amount)

    def finish(
        self, call: Call, token: str, result: str, changes: list[Change], now: int
    ) -> Literal["stored", "fenced"]:
        """Take what an attempt says, unless another one holds the call."""
        if call.status == "done" and call.holder == token:
            return "stored"
        if call.status == "done" or call.holder != token:
            return "fenced"
        if call.ask is not None:
            call.ask.status = "resolved"
            self.owed.append(("resolved", call.asks[-1].id))
        call.end(result)
        self.tool_calls += 1
        for change in changes:
            self.session.change([change])
        self.stand(now)
        return "stored"

    def resolve(self, call: Call, ask: Ask, verdict: str, given: tuple[str, int], now: int) -> bool:
        """Take a person's word, if the question is open and they have not said exactly this.

        `given` is who that is, and the amount that they saw or edited.
        """
        by, amount = given
        if ask.status != "pending":
            return False
        if verdict in {"approve", "run_again"}:
            vote = amount if verdict == "approve" else None
            if ask.approvals.get(by, "none") == vote:
                return False
            ask.approvals[by] = vote
            if sum(same == vote for same in ask.approvals.values()) < ask.quorum:
                self.stand(now)
                return True
            if vote is not None:
                call.amount = vote
        self._close(call, ask, "resolved", verdict, now)
        self.owed.append(("resolved", ask.id))
        self.stand(now)
        return True

    def expire(self, call: Call, ask: Ask, now: int) -> bool:
        """Let silence have its meaning, if the deadline has passed and nobody spoke."""
        if ask.status != "pending" or ask.due is None or now < ask.due:
            return False
        is_edited = any(amount != ask.amount for amount in ask.approvals.values())
        verdict = "reject" if ask.on_expiry == "approve" and is_edited else ask.on_expiry
        self._close(call, ask, "expired", verdict, now)
        self.stand(now)
        return True

    def _close(self, call: Call, ask: Ask, status: str, verdict: str, now: int) -> None:
        ask.status = status
        if verdict == "reject":
            call.end(REJECTED)
        elif verdict == "happened":
            call.end(HAPPENED)
            self.tool_calls += 1
        elif verdict == "run_again":
            call.status = "waiting"
        elif verdict == "fail":
            self.end("error", now)


@dataclass(eq=False)
class ModelSession:
    """A session with its runs in the order in which they were accepted."""

    id: str
    name: str | None = None
    forked_from: str | None = None
    state: dict[str, object] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def accept(self, run_id: str, given: str, on_busy: str) -> Run | None:
        """Take a run: at once, behind those that move, or not at all."""
        is_busy = any(run.moves for run in self.runs)
        if is_busy and on_busy == "reject":
            return None
        is_queued = is_busy and on_busy == "queue"
        run = Run(self, run_id, len(self.runs) + 1, given, is_queued, told=["run_accepted"])
        if not is_queued:
            run.owed.append(("start", None))
        self.runs.append(run)
        return run

    def release(self) -> None:
        """Let the first that waits begin, once nothing moves."""
        waiting = [run for run in self.runs if run.is_queued]
        if not waiting or any(run.moves and not run.is_queued for run in self.runs):
            return
        first = waiting[0]
        first.is_queued = False
        first.told.append("run_dequeued")
        first.owed.append(("start", None))

    def change(self, changes: list[Change]) -> bool:
        """Change the state by all of the changes, or by none if one does not fit."""
        state = deepcopy(self.state)
        for op, key, value in changes:
            now = state.get(key)
            if op == "set":
                state[key] = value
            elif op == "increment" and isinstance(now, int | None) and isinstance(value, int):
                state[key] = (now or 0) + value
            elif op == "append" and isinstance(now, list | None):
                state[key] = [*(now or []), value]
            else:
                return False
        self.state = state
        return True

    def fork(self, fork_id: str, until: int | None) -> "ModelSession":
        """Copy the name, the state, and the completed runs up to a number."""
        copy = ModelSession(fork_id, self.name, self.id, deepcopy(self.state))
        for run in self.runs:
            if run.status == "completed" and (until is None or run.number <= until):
                place = len(copy.runs) + 1
                copied = Run(copy, "", place, run.input, is_copy=True, status="completed")
                copied.content, copied.turn, copied.turns = run.content, run.turn, run.turns
                copied.told.append("run_completed")
                copy.runs.append(copied)
        return copy

    def shown(
        self, *, runs: int | None = None, messages: int | None = None, tool_calls: int | None = None
    ) -> list[Said]:
        """Return what the model of a new run would see of those before it."""
        done = [run for run in self.runs if run.status == "completed"]
        if runs is not None:
            done = done[-runs:]
        said = [(run.number, one) for run in done for one in run.said()]
        if messages is not None:
            said = said[-messages:]
            while said and said[0][1].role == "tool":
                del said[0]
        if tool_calls is not None:
            said = _with_calls(said, tool_calls)
        said += [(run.number, _paused(run)) for run in self.runs if run.status == "paused"]
        return [one for _, one in sorted(said, key=lambda pair: pair[0])]


def _with_calls(said: list[tuple[int, Said]], most: int) -> list[tuple[int, Said]]:
    answers = [(number, one.answers) for number, one in said if one.role == "tool"]
    kept = set(answers[len(answers) - most :] if most < len(answers) else answers)
    fewer: list[tuple[int, Said]] = []
    for number, one in said:
        left = tuple(name for name in one.calls if (number, name) in kept)
        if one.role == "tool" and (number, one.answers) not in kept:
            continue
        if one.calls and not left and not one.content:
            continue
        fewer.append((number, one._replace(calls=left)))
    return fewer


def _paused(run: Run) -> Said:
    asked = [call.ask for call in run.open_calls() if call.ask is not None]
    waits = [
        f"waiting for {'word of what became of' if ask.is_doubt else 'approval of'} "
        f'refund(amount={ask.amount}, order_id="1042")'
        for ask in sorted(asked, key=lambda ask: ask.id)
    ]
    return Said("user", f'[An earlier request, "{run.input}", is paused: {"; ".join(waits)}]')
