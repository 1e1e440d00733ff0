"""The demonstration: an agent asks to refund an order, a person decides, and the run continues."""

from contextlib import nullcontext

from kern.client.cli import prompts
from kern.client.cli.command_name import command_name
from kern.client.cli.deciding import DONE
from kern.client.cli.demo.agent import APP, agent, entries, ledger
from kern.client.cli.demo.options import Choice
from kern.client.cli.demo.worker import demo_worker
from kern.client.cli.printing import count, one_line, say, show_call, styled
from kern.client.cli.running import (
    EXIT_CODES,
    ask_until_done,
    print_interrupted,
    print_outcome,
    text_of,
)
from kern.client.processes.process_runtime import close_runtime
from kern.client.temporal import connection
from kern.contracts.viewer import system_user
from kern.process.settings import read_settings
from kern.run import RunOutput
from kern.values.ids import new_id
from kern.values.states import RunStatus


def run_demo(request: str, choice: Choice | None) -> int:
    """Run the demonstration; without a terminal and without a choice, the run is left paused."""
    say("")
    say(styled("You    ", "bold"), one_line(request))
    run_id = new_id()
    try:
        # With a configured Temporal, workers execute runs, and only this one has the agent.
        with demo_worker() if connection.is_configured() else nullcontext():
            output = agent.run(request, run_id=run_id)
            _say_requests(output)
            output = _decide(output, choice)
        if output.active_requirements:
            say("")
            print_outcome(output, APP)
        else:
            _say_end(output)
    except KeyboardInterrupt:
        return print_interrupted(run_id, APP)
    finally:
        close_runtime()
    return EXIT_CODES.get(output.status, 0)


def print_next_steps(run_id: str) -> None:
    """Say where the run is stored, and what to try next."""
    kern = command_name()
    say("")
    say(f"Kept in {read_settings().home.absolute()}. Try next:")
    for command, purpose in (
        (f"{kern} show {run_id}", "what happened in this run"),
        (f"{kern} audit verify", "the log of decisions"),
        (f"{kern} demo 'Refund order 77, 12.50 USD'", "another request"),
        (f"{kern} demo --crash", "kill the worker after the approval"),
    ):
        say(f"  {command:<{len(kern) + 48}}", styled(purpose, "dim"))


def _decide(output: RunOutput, choice: Choice | None) -> RunOutput:
    if not output.active_requirements:
        return output
    if choice is None:
        if not prompts.can_ask():
            say("No terminal to ask at, and no --decision approve|reject.")
            return output
        return ask_until_done(agent, output, system_user(), editable=("amount",))
    for item in output.active_requirements:
        choice.fill_in(item, system_user())
    return agent.continue_run(output.run_id, output.requirements)


def _say_requests(output: RunOutput) -> None:
    for item in output.active_requirements:
        say(
            styled("Agent  ", "bold"),
            "wants to call ",
            styled(show_call(item.tool_name, item.arguments), "cyan"),
        )
        say(styled("       The run is paused and kept. It costs nothing while it waits.", "dim"))


def _say_end(output: RunOutput) -> None:
    if output.status is not RunStatus.completed:
        print_outcome(output, APP)
    else:
        for item in output.requirements:
            if item.resolution is not None:
                done = f"{DONE[item.resolution.verdict]} by {one_line(item.resolution.by)}"
                say(styled(f"       {done}: the run goes on by itself.", "dim"))
        say(styled("Agent  ", "bold"), one_line(text_of(output)))
    keys = [call.idempotency_key for call in output.tools]
    paid = [entry for entry in entries() if entry["key"] in keys]
    say(styled("Ledger ", "bold"), f"{count(len(paid), 'refund')} paid by this run ({ledger()})")
    print_next_steps(output.run_id)
