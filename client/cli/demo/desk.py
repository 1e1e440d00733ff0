"""The demonstration in a browser: an agent asks for refunds, and a person decides on a page."""

import logging
import sys
from typing import NoReturn

from kern.client.cli.demo.agent import APP, agent
from kern.client.processes.worker import run_process
from kern.client.service.service import Service
from kern.client.serving.companion import DeskCompanion
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import present_operator
from kern.process.logs import log_json
from kern.process.settings import Settings

# One that is harmless, and one whose amount has to be typed.
_REQUESTS = (
    ("Mia Lindqvist", "Refund order 1042, 40 EUR"),
    ("Nordlicht Versand", "Refund order 2077, 12,500 EUR"),
)


class _Demonstration(DeskCompanion):
    """Asks the agent for refunds before it says where to decide, unless some wait already."""

    async def ready(self, service: Service) -> None:
        waiting = await service.inbox.pending(present_operator(), limit=1, component=agent.id)
        if not waiting.requirements:
            for user, text in _REQUESTS:
                request = RunRequest(component_id=agent.id, input=text, user_id=user)
                await service.runs.accept(present_operator(), agent, request)
        await super().ready(service)


def run_desk_demo() -> NoReturn:
    """Serve the console with refunds that wait, and execute what is approved, until Ctrl-C."""
    log_json(logging.WARNING)

    def companion(settings: Settings) -> DeskCompanion:
        return _Demonstration(settings, None, None, _say)

    run_process(APP, companion)


def _say(text: str) -> None:
    sys.stdout.write(
        f"An agent wants to pay two refunds, and waits for you.\n{text}\n"
        "Ctrl-C ends the demonstration; what waits stays kept.\n"
    )
    sys.stdout.flush()
