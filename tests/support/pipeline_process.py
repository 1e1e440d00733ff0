"""A process that plays a random pipeline, and dies at the n-th point of the code that it reaches.

`python -m tests.support.pipeline_process SPEC RUN LEDGER KILL`: SPEC is a pickled spec.
"""

import itertools
import json
import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from pydantic import JsonValue

from kern.components.steps.blocks import StepFunction, Steps
from kern.process import checkpoints
from kern.requirements import Requirement
from kern.values.canonical import canonical_json
from kern.workflow import StepInput, StepOutput, Workflow
from tests.support.pipeline_specs import Spec, block_of, made

GIVEN = "the input"


class Ledger:
    """A line for each execution of a step: its key and what it came to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def lines(self) -> list[tuple[str, JsonValue]]:
        """All executions, in order."""
        text = self._path.read_text() if self._path.exists() else ""
        return [(one["key"], one["content"]) for one in map(json.loads, text.splitlines())]

    def __call__(self, spec: Spec) -> StepFunction:
        """Return the function of a step."""

        def work(told: StepInput) -> StepOutput:
            content = made(spec, told.previous_content, told.feedback)
            line = f"{canonical_json({'key': told.idempotency_key, 'content': content})}\n"
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(descriptor, line.encode())
            os.close(descriptor)
            return StepOutput(content=content, stop=spec.stops)

        return work

    def say(self, asked: Requirement) -> None:
        """Say truthfully what became of a step."""
        own_key = "" if asked.attempt is None else asked.attempt.idempotency_key
        happened = [content for key, content in self.lines if key == own_key]
        if happened:
            asked.mark_happened(happened[0], by="erin")
        else:
            # Whoever executed it was killed.
            asked.run_again(by="erin", even_if_running=True)


def die_at(count: int) -> None:
    """Have this process killed at the n-th point that it reaches, if it gets there."""
    reached, lock = itertools.count(1), threading.Lock()

    def hook(_point: str) -> None:
        with lock:
            if next(reached) == count:
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()

    checkpoints.arm(hook)


def main() -> int:
    """Play the run to its end, and print what it came to."""
    spec_path, run_id, ledger_path, kill = sys.argv[1:]
    spec: Spec = pickle.loads(Path(spec_path).read_bytes())  # noqa: S301  the test wrote it
    ledger = Ledger(Path(ledger_path))
    block = block_of(spec, ledger)
    assert isinstance(block, Steps)
    flow = Workflow(id="random", name="root", steps=block.steps)
    if int(kill):
        die_at(int(kill))
    output = flow.run(GIVEN, run_id=run_id)
    while output.is_paused:
        for asked in output.active_requirements:
            ledger.say(asked)
        output = flow.continue_run(output.run_id, output.requirements)
    sys.stdout.write(json.dumps({"status": output.status.value, "content": output.content}) + "\n")
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
