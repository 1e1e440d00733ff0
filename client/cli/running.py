"""Runs what an app declares from the command line, and asks for the decisions that it needs."""

from dataclasses import dataclass

from kern.client.cli import prompts
from kern.client.cli.access import decider, perform, require_database, run_with
from kern.client.cli.delays import reporting_delays
from kern.client.cli.inbox import how_to_decide, question_of
from kern.client.cli.live import Screen
from kern.client.cli.printing import one_line, safe, say, say_json, styled
from kern.client.cli.progress import StepScreen
from kern.client.processes.app import database_of, load_app
from kern.client.processes.process_runtime import close_runtime
from kern.client.service.decision_checks import tool_of
from kern.client.service.installation import new_service
from kern.components.component import definition_of
from kern.components.run_options import RunOptions
from kern.components.runnable import Runnable
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import present_operator
from kern.errors import AlreadyResolved, InvalidDecision, InvalidInput, NotAllowed, NotFound
from kern.media import File, Image
from kern.process.settings import Settings, read_settings
from kern.requirements import Requirement
from kern.run import RunOutput
from kern.values.ids import new_id
from kern.values.states import RunStatus

EXIT_CODES = {
    RunStatus.completed: 0,
    RunStatus.error: 7,
    RunStatus.cancelled: 9,
    RunStatus.paused: 10,
}
_INTERRUPTED = 130

AnyScreen = Screen | StepScreen


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line."""

    text: str
    images: tuple[Image, ...] = ()
    files: tuple[File, ...] = ()
    user: str | None = None
    session: str | None = None
    background: bool = False

    @property
    def options(self) -> RunOptions:
        """As `Agent.run` takes it."""
        return {
            "images": self.images,
            "files": self.files,
            "user_id": self.user,
            "session_id": self.session,
        }


def run_app(app: str, order: Order, *, by: str | None, may_ask: bool, as_json: bool) -> int:
    """Run the component that `app` names; return the code that says where the run stands."""
    require_database("run")
    settings, name = read_settings(), decider(by)
    component = _the_component(app)
    run_id = new_id()
    if order.background:
        return _leave_to_a_worker(settings, app, component, order, run_id, as_json=as_json)
    is_interactive = may_ask and not as_json and prompts.can_ask()
    screen = None if as_json else _screen_for(component)
    try:
        with reporting_delays():
            output = _begin(component, order, run_id, screen)
            if is_interactive:
                output = ask_until_done(component, output, name, screen=screen)
    except KeyboardInterrupt:
        return print_interrupted(run_id, app)
    finally:
        close_runtime()
    if as_json:
        say_json(output.model_dump(mode="json"))
    elif screen is None or not screen.shows_answer_of(output):
        print_outcome(output, app)
    return EXIT_CODES.get(output.status, 0)


def ask_until_done(
    component: Runnable,
    output: RunOutput,
    by: str,
    editable: tuple[str, ...] | None = None,
    screen: AnyScreen | None = None,
) -> RunOutput:
    """Ask for what the run waits for, until it has ended or the person leaves something open."""
    while output.active_requirements:
        answers = [
            prompts.ask(item, by, prompts.Edits(editable, tool_of(component, item)))
            for item in output.active_requirements
        ]
        try:
            after = _go_on(component, output, screen)
        except (AlreadyResolved, InvalidDecision, InvalidInput, NotAllowed) as error:
            say(styled(one_line(str(error)), "red"))
            after = component.get_run_output(output.run_id, user_id=output.user_id)
            if isinstance(error, AlreadyResolved):
                after = component.continue_run(output.run_id, user_id=output.user_id)
        if not all(answers):
            return after
        output = after
    return output


def _screen_for(component: Runnable) -> AnyScreen | None:
    if definition_of(component).kind == "workflow":
        return StepScreen() if StepScreen.is_of_use() else None
    return Screen() if Screen.is_of_use_for(component) else None


def _begin(component: Runnable, order: Order, run_id: str, screen: AnyScreen | None) -> RunOutput:
    options: RunOptions = {**order.options, "run_id": run_id}
    if screen is None:
        return component.run(order.text, **options)
    with_all_events = isinstance(screen, StepScreen)
    return screen.follow(
        component.run(order.text, stream=True, stream_events=with_all_events, **options)
    )


def _go_on(component: Runnable, output: RunOutput, screen: AnyScreen | None) -> RunOutput:
    run_id, requirements, owner = output.run_id, output.requirements, output.user_id
    if screen is None:
        return component.continue_run(run_id, requirements, user_id=owner)
    with_all_events = isinstance(screen, StepScreen)
    return screen.follow(
        component.continue_run(
            run_id, requirements, user_id=owner, stream=True, stream_events=with_all_events
        )
    )


def print_outcome(output: RunOutput, app: str) -> None:
    """Print where a run stands: its answer, its error, or what it waits for."""
    match output.status:
        case RunStatus.completed:
            say(safe(text_of(output)))
        case RunStatus.paused:
            say(f"Run {output.run_id} waits for a person:")
            for item in output.active_requirements:
                _say_waiting(item)
            say(
                "It goes on when that is decided and a worker runs: `kern up --app "
                f"{one_line(app)}`."
            )
        case RunStatus.error if output.error is not None:
            say(styled(f"Run {output.run_id} failed: {one_line(output.error.message)}", "red"))
        case _:
            say(f"Run {output.run_id} is {output.status.value}.")


def text_of(output: RunOutput) -> str:
    """Return a run's answer as text."""
    content = output.content
    if content is None or isinstance(content, str):
        return content or ""
    return content.model_dump_json(indent=2)


def print_interrupted(run_id: str, app: str) -> int:
    """Say to whoever pressed Ctrl-C what becomes of the run."""
    say("")
    status = _status_of(run_id)
    if status is None:
        say("Interrupted before the run was accepted: nothing was begun.")
        return _INTERRUPTED
    if status.is_final:
        say(
            f"Interrupted. Run {run_id} had ended: {status.value}. `kern show {run_id}` shows more."
        )
        return _INTERRUPTED
    say(
        f"Interrupted. Run {run_id} is kept and goes on when a worker runs: `kern up --app "
        f"{one_line(app)}`."
    )
    say(f"Follow it with `kern show {run_id}`, end it with `kern cancel {run_id}`.")
    return _INTERRUPTED


def _say_waiting(item: Requirement) -> None:
    say(f"  {question_of(item)}")
    say(f"    {how_to_decide(item)}")


def _status_of(run_id: str) -> RunStatus | None:
    try:
        return perform(lambda service: service.runs.status(present_operator(), run_id))
    except NotFound:
        return None


def _the_component(app: str) -> Runnable:
    """Return what the app has to run: members of a team are run by it."""
    loaded = [item for item in load_app(app) if isinstance(item, Runnable)]
    parts = {part.id for item in loaded for part in definition_of(item).parts}
    candidates = [item for item in loaded if item.id not in parts]
    if len(candidates) != 1:
        names = ", ".join(f"{item.id!r}" for item in candidates) or "none"
        message = (
            f"{app!r} holds {len(candidates)} components ({names}): name one as "
            "package.module:attribute."
        )
        raise InvalidInput(message)
    return candidates[0]


def _leave_to_a_worker(
    settings: Settings, app: str, component: Runnable, order: Order, run_id: str, *, as_json: bool
) -> int:
    request = RunRequest(
        component_id=component.id,
        input=order.text,
        user_id=order.user,
        session_id=order.session,
        run_id=run_id,
        media=(*order.images, *order.files),
    )
    with new_service(settings, database_of([component])) as service:
        accepted = run_with(
            service, lambda service: service.runs.accept(present_operator(), component, request)
        )
    if as_json:
        say_json({"run_id": run_id, "accepted": True, "delivered": accepted.delivered})
        return 0
    say(f"Accepted: run {run_id}.")
    say(
        f"A worker executes it: `kern up --app {one_line(app)}`. Follow it with `kern show "
        f"{run_id}`."
    )
    return 0
