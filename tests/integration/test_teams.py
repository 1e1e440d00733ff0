"""Teams: members' runs inside the team's, and what their leader is told of them."""

import threading

import pytest

from kern.client.processes.runtime import Runtime
from kern.errors import AlreadyResolved, InvalidDecision, InvalidInput, NotAllowed
from kern.events import RunCompleted, RunContent, RunEvent
from kern.models.base import ModelRequest, ProviderError
from kern.models.scripted import Call
from kern.team import Team
from kern.tools import Approval, RunContext, tool
from kern.values.ids import new_id
from kern.values.states import RequirementStatus, RunStatus, ToolOutcome
from tests.support.agents import Ledger, paying, scripted
from tests.support.teams import delegating, member_runs, team, told
from tests.support.waiting import wait_until


def test_members_do_what_the_leader_gives_them(runtime_on_each: Runtime) -> None:
    finder = scripted(["It is blue."], role="Finds things out")
    writer = scripted(["Dear customer"], role="Writes")
    desk = team([finder, writer], delegating((finder, "What colour?"), (writer, "Write.")))

    done = desk.run("Find out and write", user_id="ann")

    assert done.status is RunStatus.completed, done.error
    assert done.content == "It is blue. / Dear customer"
    found, written = member_runs(desk, done)
    assert (found.input, found.content) == ("What colour?", "It is blue.")
    assert (written.input, written.content) == ("Write.", "Dear customer")
    for member in (found, written):
        assert member.parent_run_id == done.run_id
        assert (member.session_id, member.user_id) == (done.session_id, "ann")
    assert [call.outcome for call in done.tools] == [ToolOutcome.result] * 2
    assert done.metrics.model_calls == 4


def test_the_leader_is_told_what_members_are_for(runtime: Runtime) -> None:
    seen: list[str] = []

    def lead(request: ModelRequest) -> str:
        seen.append(request.instructions or "")
        return "Hello"

    desk = team([scripted(["-"], role="Knows {flowers}.")], lead, instructions="Be kind.")
    desk.run("Hi")
    (member,) = desk.members
    assert "Be kind." in seen[0]
    assert f"- {member}: Knows {{flowers}}." in seen[0]


def test_what_a_member_waits_for_is_resolved_through_the_team(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    payer = scripted([Call("pay", amount=5), "Paid it."], [paying(ledger)])
    desk = team([payer], delegating((payer, "Pay 5")))

    paused = desk.run("Pay 5", user_id="ann")

    assert paused.is_paused
    (asked,) = paused.active_requirements
    assert asked.path == [desk.id, payer.id, "pay"]
    (member,) = member_runs(desk, paused)
    assert (member.run_id, member.status) == (asked.run_id, RunStatus.paused)
    assert ledger.lines == []

    done = desk.continue_run(paused.run_id, [asked.confirm(by="dana")])

    assert (done.status, done.content) == (RunStatus.completed, "Paid it.")
    assert ledger.lines == ["paid 5"]
    (resolved,) = done.requirements
    assert resolved.resolution is not None
    assert resolved.resolution.by == "dana"
    with pytest.raises(AlreadyResolved, match="dana"):
        desk.continue_run(done.run_id, [resolved.reject()])


def test_a_gate_in_a_member_of_a_member(runtime_on_each: Runtime, ledger: Ledger) -> None:
    payer = scripted([Call("pay", amount=5), "Paid it."], [paying(ledger)])
    office = team([payer], delegating((payer, "Pay 5")))
    firm = team([office], delegating((office, "Have it paid")))

    paused = firm.run("Pay")
    (asked,) = paused.active_requirements
    assert asked.path == [firm.id, office.id, payer.id, "pay"]
    done = firm.continue_run(paused.run_id, [asked.edit({"amount": 4})])

    assert (done.status, done.content) == (RunStatus.completed, "Paid it.")
    assert ledger.lines == ["paid 4"]
    (middle,) = member_runs(firm, done)
    assert middle.metrics.model_calls == 4
    assert done.metrics.model_calls == 6
    assert [item.id for item in middle.requirements] == [asked.id]


def test_the_leader_is_told_what_a_member_did_before_it_was_cancelled(
    runtime: Runtime, ledger: Ledger
) -> None:
    @tool
    def look() -> str:
        """Look."""
        ledger.add("looked")
        return "seen"

    payer = scripted([Call("look"), Call("pay", amount=5), "Paid."], [look, paying(ledger)])
    desk = team([payer], delegating((payer, "Look and pay")))
    paused = desk.run("Go")
    (asked,) = paused.active_requirements
    payer.cancel_run(asked.run_id)
    done = desk.continue_run(paused.run_id)
    assert done.content == (
        f"{payer.id} did not answer: its run was cancelled.\n"
        "Before that it had called: look (done)."
    )
    assert ledger.lines == ["looked"]


def test_a_quorum_decides_about_what_a_member_of_a_member_does(
    runtime: Runtime, ledger: Ledger
) -> None:
    policy = Approval(candidates=("ann", "bob"), quorum=2)
    payer = scripted([Call("pay", amount=5), "Paid it."], [paying(ledger, policy)])
    office = team([payer], delegating((payer, "Pay 5")))
    firm = team([office], delegating((office, "Have it paid")))

    paused = firm.run("Pay")
    (asked,) = paused.active_requirements
    once = firm.continue_run(paused.run_id, [asked.confirm(by="ann")])
    assert (once.is_paused, ledger.lines) == (True, [])
    (asked,) = once.active_requirements
    with pytest.raises(AlreadyResolved, match="'ann' has already decided"):
        firm.continue_run(paused.run_id, [asked.confirm(by="ann")])
    (asked,) = firm.get_run_output(paused.run_id).active_requirements
    done = firm.continue_run(paused.run_id, [asked.confirm(by="bob")])

    assert (done.status, done.content) == (RunStatus.completed, "Paid it.")
    assert ledger.lines == ["paid 5"]


def test_a_team_is_waited_for_while_its_member_is_decided_about(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    """The member's run has heard of the decision by then, and the team's has not."""
    payer = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    office = team([payer], delegating((payer, "Pay 5")))
    firm = team([office], delegating((office, "Pay")))
    for _ in range(2):
        paused = firm.run("Pay")
        (asked,) = paused.active_requirements
        assert payer.continue_run(asked.run_id, [asked.confirm()]).content == "Paid."
        assert firm.continue_run(paused.run_id).content == "Paid."


def test_a_member_that_waits_does_not_hold_up_the_others(runtime: Runtime, ledger: Ledger) -> None:
    asked = threading.Event()

    @tool
    def look() -> str:
        """Look, once the other member waits."""
        asked.wait(30)
        return "seen"

    payer = scripted([Call("pay", amount=1), "Paid."], [paying(ledger)])
    looker = scripted([Call("look"), "Seen."], [look])
    desk = team([payer, looker], delegating((payer, "Pay"), (looker, "Look")))

    accepted = desk.run("Both", background=True)
    wait_until(lambda: desk.get_run_output(accepted.run_id).active_requirements)
    assert desk.get_run_output(accepted.run_id).status is RunStatus.running
    asked.set()
    paused = desk.continue_run(accepted.run_id)

    assert paused.is_paused
    paying_run, looking_run = member_runs(desk, paused)
    assert paying_run.status is RunStatus.paused
    assert (looking_run.status, looking_run.content) == (RunStatus.completed, "Seen.")
    rejected = paused.active_requirements[0].reject("not now")
    done = desk.continue_run(paused.run_id, [rejected])
    assert (done.status, done.content) == (RunStatus.completed, "Paid. / Seen.")
    assert ledger.lines == []


def test_two_members_wait_and_are_answered_one_by_one(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    first = scripted([Call("pay", amount=1), "One."], [paying(ledger)])
    second = scripted([Call("pay", amount=2), "Two."], [paying(ledger)])
    desk = team([first, second], delegating((first, "Pay 1"), (second, "Pay 2")))

    paused = desk.run("Both")
    later = next(one for one in paused.active_requirements if one.path[1] == second.id)
    again = desk.continue_run(paused.run_id, [later.confirm()])

    assert again.is_paused
    assert ledger.lines == ["paid 2"]
    (left,) = again.active_requirements
    assert left.path[1] == first.id
    done = desk.continue_run(paused.run_id, [left.confirm()])
    assert done.content == "One. / Two."
    assert ledger.lines == ["paid 2", "paid 1"]


def test_a_leader_waits_beside_its_member_and_again_when_it_is_answered(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    payer = scripted([Call("pay", amount=1), "Paid."], [paying(ledger)])

    def lead(request: ModelRequest) -> list[Call] | str:
        if told(request):
            return "Done."
        give = Call("delegate_task_to_member", member_id=payer.id, task="Pay 1")
        return [Call("pay", amount=2), give]

    desk = team([payer], lead, tools=[paying(ledger)])
    paused = desk.run("Both")
    own, members = sorted(paused.active_requirements, key=lambda one: len(one.path))
    again = desk.continue_run(paused.run_id, [own.confirm()])
    assert again.is_paused
    assert [one.id for one in again.active_requirements] == [members.id]
    done = desk.continue_run(paused.run_id, [members.confirm()])
    assert done.content == "Done."
    assert ledger.lines == ["paid 2", "paid 1"]


def test_a_member_that_fails_is_a_result_that_the_leader_sees(runtime_on_each: Runtime) -> None:
    refusal = ProviderError("no such model", code="refused", retryable=False)
    broken = scripted([refusal])
    sound = scripted(["Fine."])
    desk = team([broken, sound], delegating((broken, "Try"), (sound, "Try")))

    done = desk.run("Both")

    assert done.status is RunStatus.completed
    failed, fine = member_runs(desk, done)
    assert failed.status is RunStatus.error
    assert fine.status is RunStatus.completed
    assert done.tools[0].outcome is ToolOutcome.error
    assert done.content == f"{broken.id} failed: no such model / Fine."


def test_the_leader_is_told_of_a_member_that_is_not_there(runtime: Runtime) -> None:
    def lead(request: ModelRequest) -> Call | str:
        returned = told(request)
        return returned[0] if returned else Call("delegate_task_to_member", member_id="x", task="y")

    done = team([scripted(["-"])], lead).run("Hi")
    assert "member_id" in str(done.content)
    assert done.tools[0].outcome is ToolOutcome.error


def test_a_route_ends_with_the_answer_of_one_member(runtime_on_each: Runtime) -> None:
    french = scripted(["Bonjour"])
    german = scripted(["Guten Tag"])
    desk = team([french, german], [Call("forward_to_member", member_id=german.id)], "route")

    done = desk.run("Say hello in German")

    assert (done.status, done.content) == (RunStatus.completed, "Guten Tag")
    (member,) = member_runs(desk, done)
    assert member.input == "Say hello in German"
    assert done.metrics.model_calls == 2


def test_the_answer_of_a_route_is_said_to_readers_and_in_later_runs(runtime: Runtime) -> None:
    seen: list[list[str]] = []

    def lead(request: ModelRequest) -> Call:
        seen.append([one.content for one in request.messages])
        return Call("forward_to_member", member_id=member.id)

    member = scripted(["Bonjour"])
    desk = team([member], lead, "route", add_history_to_context=True, max_tool_calls_from_history=0)
    *text, end = desk.run("Hi", stream=True)
    assert "".join(one.content for one in text if isinstance(one, RunContent)) == "Bonjour"
    assert isinstance(end, RunCompleted)
    again = [*desk.stream_run(end.run_id, after=end.seq)]
    assert [type(one) for one in again] == [RunCompleted]
    session_id = end.output.session_id
    assert [one.content for one in desk.get_chat_history(session_id)][-1] == "Bonjour"
    desk.run("And now?", session_id=session_id)
    assert seen[-1] == ["Hi", "Bonjour", "And now?"]


def test_a_route_to_two_is_refused_and_one_that_fails_comes_back(runtime: Runtime) -> None:
    refusal = ProviderError("no such model", code="refused", retryable=False)
    broken, sound = scripted([refusal]), scripted(["Fine."])

    def lead(request: ModelRequest) -> list[Call]:
        returned = told(request)
        if not returned:
            return [Call("forward_to_member", member_id=one.id) for one in (broken, sound)]
        if len(returned) == 2:
            assert all("alone" in one for one in returned)
            return [Call("forward_to_member", member_id=broken.id)]
        assert returned[-1] == f"{broken.id} failed: no such model"
        return [Call("forward_to_member", member_id=sound.id)]

    done = team([broken, sound], lead, "route").run("Hi")
    assert (done.status, done.content) == (RunStatus.completed, "Fine."), done.error
    assert len([call for call in done.tools if call.child_run_id]) == 2


def test_a_broadcast_asks_all_members_before_the_leader(runtime_on_each: Runtime) -> None:
    members = [scripted([f"Opinion {number}"]) for number in range(3)]
    offered: list[int] = []

    def lead(request: ModelRequest) -> str:
        offered.append(len(request.tools))
        return " & ".join(told(request))

    desk = team(members, lead, "broadcast")
    done = desk.run("What do you think?")

    assert done.content == "Opinion 0 & Opinion 1 & Opinion 2"
    assert [run.input for run in member_runs(desk, done)] == ["What do you think?"] * 3
    assert offered == [0]
    assert done.metrics.model_calls == 4


def test_tasks_are_done_when_members_have_done_them_and_not_before(
    runtime_on_each: Runtime,
) -> None:
    refusal = ProviderError("no such model", code="refused", retryable=False)
    worker, broken = scripted(["Done it."]), scripted([refusal])
    lists: list[str] = []

    def lead(request: ModelRequest) -> object:
        lists.append((request.instructions or "").rpartition("Your list of tasks:\n")[2])
        turn = sum(message.role == "assistant" for message in request.messages)
        return steps[turn]

    steps: list[object] = [
        Call("add_tasks", tasks=[{"title": "Dig"}, {"title": "Plant"}]),
        "All done!",
        [
            Call("assign_task", task_number=1, member_id=worker.id, instructions="Dig a hole"),
            Call("assign_task", task_number=2, member_id=broken.id, instructions="Plant a tree"),
            Call("assign_task", task_number=3, member_id=worker.id, instructions="?"),
        ],
        "All done!",
        Call("drop_task", task_number=2, reason="nobody can"),
        "Dug, not planted.",
    ]
    desk = team([worker, broken], lead, "tasks")  # type: ignore[arg-type]
    done = desk.run("Make a garden")

    assert (done.status, done.content) == (RunStatus.completed, "Dug, not planted."), done.error
    assert lists[0] == "(no tasks yet)"
    assert lists[1] == "1. [open] Dig\n2. [open] Plant"
    assert lists[3] == f"1. [done, {worker.id}] Dig\n2. [failed, {broken.id}] Plant"
    assert lists[5].endswith("Plant")
    assert "[dropped" in lists[5]
    corrections = [m.content for m in done.messages[1:] if m.role == "user"]
    assert "1. [open] Dig" in corrections[0]
    assert corrections[1].count("[") == 1
    refused = done.tools[3]
    assert (refused.child_run_id, refused.outcome) == (None, ToolOutcome.error)
    assert "numbered 1 to 2" in (refused.result or "")


def test_one_task_is_given_away_once_and_what_is_done_is_not_dropped(runtime: Runtime) -> None:
    worker = scripted(["Done it."])
    assign = Call("assign_task", task_number=1, member_id=worker.id, instructions="Dig a hole")
    drop = Call("drop_task", task_number=1, reason="no more")

    def lead(request: ModelRequest) -> object:
        steps = (Call("add_tasks", tasks=[{"title": "Dig"}]), [assign, assign, drop], drop, "Dug.")
        return steps[sum(message.role == "assistant" for message in request.messages)]

    done = team([worker], lead, "tasks").run("Dig")  # type: ignore[arg-type]
    assert (done.status, done.content) == (RunStatus.completed, "Dug."), done.error
    assert len([call for call in done.tools if call.child_run_id]) == 1
    refused = [call.result or "" for call in done.tools if call.outcome is ToolOutcome.error]
    assert ["in progress" in one for one in refused] == [True, True, False]
    assert "task 1 is done already" in refused[2]


def test_a_leader_that_insists_on_open_tasks_ends_in_an_error(runtime: Runtime) -> None:
    def lead(request: ModelRequest) -> Call | str:
        if len(request.messages) > 1:
            return "All done!"
        return Call("add_tasks", tasks=[{"title": "Dig"}])

    done = team([scripted(["-"])], lead, "tasks").run("Dig")
    assert done.status is RunStatus.error
    assert done.error is not None
    assert done.error.code == "unfinished"
    assert "1. [open] Dig" in done.error.message


@pytest.mark.parametrize("shares", [True, False])
def test_members_may_be_told_what_others_have_done(runtime: Runtime, *, shares: bool) -> None:
    heard: list[str] = []

    def listen(request: ModelRequest) -> str:
        heard.append(request.messages[-1].content)
        return "Noted."

    finder, writer = scripted(["It is blue."]), scripted(listen)

    def lead(request: ModelRequest) -> Call | str:
        done = len(told(request))
        if done == 2:
            return "Done."
        member = (finder, writer)[done]
        return Call("delegate_task_to_member", member_id=member.id, task=f"Task {done}")

    desk = team([finder, writer], lead, share_member_interactions=shares)
    done = desk.run("Go")
    assert done.content == "Done."
    assert heard[0].endswith("Task 1")
    assert ("It is blue." in heard[0]) is shares
    assert member_runs(desk, done)[1].input == "Task 1"


@pytest.mark.parametrize("shown", [True, False])
def test_members_may_see_the_history_of_the_team(runtime: Runtime, *, shown: bool) -> None:
    seen: list[list[str]] = []

    def listen(request: ModelRequest) -> str:
        seen.append([message.content for message in request.messages])
        return "Noted."

    member = scripted(listen)
    desk = team([member], delegating((member, "Listen")), add_team_history_to_members=shown)
    first = desk.run("Remember 7")
    desk.run("What was it?", session_id=first.session_id)
    before = [one for one in seen[1] if one in ("Remember 7", "Noted.")]
    assert bool(before) is shown
    assert seen[1][-1] == "Listen"


def test_the_session_of_a_team_is_the_teams(runtime_on_each: Runtime) -> None:
    member = scripted(["Fine."])
    seen: list[list[str]] = []

    def lead(request: ModelRequest) -> object:
        seen.append([message.content for message in request.messages])
        return delegating((member, "Try"))(request)

    desk = team([member], lead, add_history_to_context=True)  # type: ignore[arg-type]
    first = desk.run("One", user_id="ann")
    second = desk.run("Two", session_id=first.session_id, user_id="ann")

    session_id = first.session_id
    said = desk.get_chat_history(session_id, user_id="ann")
    assert [message.content for message in said] == ["One", "Fine.", "Two", "Fine."]
    used = desk.get_session_metrics(session_id, user_id="ann")
    assert (used.run_count, used.model_calls) == (2, 6)
    assert (first.number, second.number) == (1, 2)
    assert seen[2][:2] == ["One", ""]
    assert "Try" not in seen[2]
    for message in desk.get_session_messages(session_id, user_id="ann"):
        assert message.content != "Try"


def test_nobody_else_reaches_the_runs_of_members(runtime_on_each: Runtime, ledger: Ledger) -> None:
    payer = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    desk = team([payer], delegating((payer, "Pay 5")))
    paused = desk.run("Pay", user_id="ann")
    (asked,) = paused.active_requirements

    for stranger in ("eve", None):
        for component in (desk, payer):
            with pytest.raises(NotAllowed):
                component.get_run_output(asked.run_id, user_id=stranger)
            with pytest.raises(NotAllowed):
                component.cancel_run(asked.run_id, user_id=stranger)
        asked.user_id = stranger
        with pytest.raises(NotAllowed):
            desk.continue_run(paused.run_id, [asked.confirm()], user_id=stranger or "bob")
    other = scripted(["-"])
    with pytest.raises(InvalidInput, match=desk.id):
        other.get_run_output(asked.run_id, user_id="ann")
    assert payer.get_run_output(asked.run_id, user_id="ann").is_paused
    elsewhere = desk.run("Pay", user_id="ann")
    asked.user_id = "ann"
    with pytest.raises(InvalidDecision, match=elsewhere.run_id):
        desk.continue_run(elsewhere.run_id, [asked.confirm()], user_id="ann")
    assert ledger.lines == []
    desk.delete_session(paused.session_id, user_id="ann")


def test_cancelling_a_team_cancels_what_its_members_do(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    payer = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    office = team([payer], delegating((payer, "Pay 5")))
    firm = team([office], delegating((office, "Pay")))
    paused = firm.run("Pay")
    (asked,) = paused.active_requirements

    cancelled = firm.cancel_run(paused.run_id)

    assert cancelled.status is RunStatus.cancelled
    assert [item.status for item in cancelled.requirements] == [RequirementStatus.cancelled]
    (middle,) = member_runs(firm, cancelled)
    assert middle.status is RunStatus.cancelled
    assert firm.get_run_output(asked.run_id).status is RunStatus.cancelled
    with pytest.raises(AlreadyResolved):
        firm.continue_run(paused.run_id, [asked.confirm()])
    assert ledger.lines == []


def test_a_member_that_is_cancelled_is_a_result_too(runtime: Runtime, ledger: Ledger) -> None:
    payer = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    desk = team([payer], delegating((payer, "Pay 5")))
    paused = desk.run("Pay")
    (asked,) = paused.active_requirements

    payer.cancel_run(asked.run_id)
    done = desk.continue_run(paused.run_id)

    assert done.status is RunStatus.completed
    assert done.content == f"{payer.id} did not answer: its run was cancelled."
    assert done.tools[0].outcome is ToolOutcome.cancelled


def test_deleting_the_session_of_a_paused_team(runtime_on_each: Runtime, ledger: Ledger) -> None:
    payer = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    desk = team([payer], delegating((payer, "Pay 5")))
    paused = desk.run("Pay")
    desk.delete_session(paused.session_id)
    again = desk.run("Pay", session_id=paused.session_id)
    assert again.number == 1
    assert ledger.lines == []


def test_members_change_one_state(runtime_on_each: Runtime) -> None:
    @tool
    def count(run_context: RunContext) -> str:
        """Count."""
        run_context.session_state.increment("count", 1)
        return "ok"

    members = [scripted([Call("count"), "Counted."], [count]) for _ in range(4)]
    desk = team(members, delegating(*((one, "Count") for one in members)))
    done = desk.run("Count", session_state={"count": 10})
    assert done.session_state == {"count": 14}


def test_a_team_is_streamed_and_its_end_has_all(runtime: Runtime, ledger: Ledger) -> None:
    payer = scripted([Call("pay", amount=5), "Paid it."], [paying(ledger)])
    desk = team([payer], delegating((payer, "Pay 5")))
    events: list[RunEvent] = list(desk.run("Pay", stream=True, stream_events=True))
    last = events[-1]
    assert last.kind == "run_paused"
    (asked,) = last.requirements
    more = list(desk.continue_run(last.run_id, [asked.confirm()], stream=True, stream_events=True))
    kinds = [event.kind for event in more]
    assert kinds[-1] == "run_completed"
    assert "run_continued" in kinds
    assert "tool_call_completed" in kinds


def test_teams_continue_as_new_between_turns(short_histories: Runtime, ledger: Ledger) -> None:
    payer = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])

    def lead(request: ModelRequest) -> Call | str:
        if len(told(request)) == 3:
            return "Enough."
        return Call("delegate_task_to_member", member_id=payer.id, task="Pay 5")

    desk = team([payer], lead)
    run: object = desk.run("Pay thrice")
    for _ in range(3):
        run = desk.continue_run(run.run_id, [run.active_requirements[0].confirm()])  # type: ignore[attr-defined]
    assert run.content == "Enough."  # type: ignore[attr-defined]
    assert ledger.lines == ["paid 5"] * 3


def test_a_run_id_of_a_team_is_a_run_once(runtime: Runtime) -> None:
    member = scripted(["Fine."])
    desk: Team = team([member], delegating((member, "Try")))
    run_id = new_id()
    first, second = (desk.run("Hi", run_id=run_id) for _ in range(2))
    assert first.run_id == second.run_id == run_id
    assert len(member_runs(desk, second)) == 1
